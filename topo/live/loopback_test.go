package live

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
)

const loopbackLab = `
name: first
networks: {sw: {subnets: [10.1.0.0/24, "fd00:1::/64"], in: red}}
hosts:
  red: {devices: {lo: {addresses: [10.255.0.1/32, "fd00:255::1/128"]}}}
  blue:
    networks: [sw]
    devices: {lo: {addresses: [10.255.0.2/32, "fd00:255::2/128"]}}
    routes: [10.255.0.1 via 10.1.0.1, "fd00:255::1 via fd00:1::1", "10.254.0.0/16 via 10.1.0.1 src 10.255.0.2"]
  box: {namespace: box, devices: {lo: {addresses: [10.255.0.3/32, "fd00:255::3/128"]}}}
  machine: {devices: {lo: {addresses: [10.255.0.4/32, "fd00:255::4/128"]}}}
`

// The addresses of lo work, also on the machine and in an adopted namespace, and change without a trace.
func TestLoopbackAddresses(t *testing.T) {
	labtest.NeedIP(t)
	eachAddrMark(t, func(t *testing.T, open func(string) *Kernel) {
		labtest.IP(t, "netns add box")
		defer labtest.IP(t, "netns del box")
		boxBefore, before := addrsOf(t, "box"), machineState(t)
		lab, want := labtest.Compiled(t, loopbackLab)
		k := open(lab)
		up(t, k, want)
		for _, addr := range []string{"10.255.0.1", "fd00:255::1"} {
			checkReachesSoon(t, "blue", addr)
		}
		for ns, addrs := range map[string][]string{
			"red": {"10.255.0.1/32", "fd00:255::1/128"}, "box": {"10.255.0.3/32", "fd00:255::3/128"},
			"": {"10.255.0.4/32", "fd00:255::4/128"},
		} {
			for _, a := range addrs {
				if have := addrsOf(t, ns); !strings.Contains(have, " "+a+" ") {
					t.Errorf("%s is not in\n%s", a, have)
				}
			}
		}
		surveyed, _, err := Survey()
		for key, object := range want {
			// A lab cannot describe what other programs add to the machine's lo.
			if strings.HasSuffix(key.Name, " dev lo") && (surveyed[key] == object) == (key.NS == "") || err != nil {
				t.Errorf("in the survey (%v): %v", err, surveyed[key])
			}
		}
		labtest.IP(t, "addr del 10.255.0.4/32 dev lo")
		labtest.IP(t, "addr add 10.255.0.99/32 dev lo") // of another program
		drift, err := k.Plan(want)
		if text := drift.String(); err != nil || text != "+ addr 10.255.0.4/32 dev lo\n" {
			t.Errorf("the drift is %v\n%s", err, text)
		}
		// The kernel deletes a route with its source, here while the prefix length changes, and then the address.
		for _, addr := range []string{"10.255.0.2/31", "10.255.0.22/31"} {
			text := strings.ReplaceAll(loopbackLab, "10.255.0.2/32", addr)
			_, changed := labtest.Compiled(t, strings.ReplaceAll(text, "src 10.255.0.2", "src "+addr[:len(addr)-3]))
			up(t, k, changed)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if have := addrsOf(t, ""); !strings.Contains(have, " 10.255.0.99/32 ") {
			t.Errorf("the address of another program is not in\n%s", have)
		}
		labtest.IP(t, "addr del 10.255.0.99/32 dev lo")
		if diff := cmp.Diff(before, machineState(t)) + cmp.Diff(boxBefore, addrsOf(t, "box")); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	})
}

// Two labs cannot have the same address on the machine's lo, but one may ask for an address that no lab has.
func TestLoopbackAddressOfAnotherLab(t *testing.T) {
	labtest.NeedIP(t)
	eachAddrMark(t, func(t *testing.T, open func(string) *Kernel) {
		const text = "name: NAME\nhosts: {machine: {devices: {lo: {addresses: [10.255.0.4/32, 'fd00:255::4/128']}}}}"
		one, want := labtest.Compiled(t, strings.Replace(text, "NAME", "one", 1))
		two, wantToo := labtest.Compiled(t, strings.Replace(text, "NAME", "two", 1))
		k1, k2 := open(one), open(two)
		up(t, k1, want)
		_, err := k2.Up(t.Context(), wantToo, nil)
		for _, addr := range []string{"10.255.0.4/32", "fd00:255::4/128"} {
			if what := "link lo already has " + addr + ", which belongs to lab one"; !errors.Is(err, fs.ErrExist) ||
				!strings.Contains(err.Error(), what) {
				t.Errorf("%q is not in %v", what, err)
			}
		}
		if _, err := k2.Down(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if drift, err := k1.Plan(want); err != nil || len(drift) > 0 {
			t.Errorf("the first lab: %v\n%s", err, drift)
		}
		if _, err := k1.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		labtest.IP(t, "addr add 10.255.0.4/32 dev lo")
		defer labtest.IP(t, "addr del 10.255.0.4/32 dev lo")
		up(t, k2, wantToo)
		if _, err := k2.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if have := addrsOf(t, ""); !strings.Contains(have, " 10.255.0.4/32 ") || strings.Contains(have, "fd00:255::4") {
			t.Errorf("only the lab's address should be deleted:\n%s", have)
		}
	})
}

// checkReachesSoon is checkReaches for a lab that is new: on a busy machine, its first packets may be lost.
func checkReachesSoon(t *testing.T, host, addr string) {
	t.Helper()
	err := reaches(host, addr)
	for range 2 {
		if err != nil {
			err = reaches(host, addr)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
