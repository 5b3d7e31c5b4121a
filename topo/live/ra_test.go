package live

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// A machine with a default route from router advertisements keeps it when labs turn
// forwarding on. When the last of them is down, accept_ra is as before.
func TestKeepsAdvertisedRoute(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	labtest.IP(t, "link add up0 type veth peer name up1")
	t.Cleanup(func() { labtest.IP(t, "link del up0") })
	labtest.IP(t, "link add static0 type veth peer name static1")
	t.Cleanup(func() { labtest.IP(t, "link del static0") })
	for i, link := range []string{"up0", "static0"} {
		labtest.IP(t, "link set "+link+" up")
		labtest.IP(t, fmt.Sprintf("-6 route add default via fe80::1 dev %s proto ra metric %d onlink", link, 1024+i))
	}
	if err := nsfs.SetSysctl(acceptRA("static0"), "0"); err != nil {
		t.Fatal(err)
	}
	before := machineState(t)
	labText := func(name, net string) string {
		return "name: " + name + "\nnetworks: {" + name + ": {subnets: [\"" + net + "\"], nat: true}}\n" +
			"hosts: {" + name + "-h: {networks: [" + name + "]}}\n"
	}
	checkRA := func(what, want string) {
		t.Helper()
		up, err1 := nsfs.Sysctl(acceptRA("up0"))
		static, err2 := nsfs.Sysctl(acceptRA("static0"))
		if got := up + static; err1 != nil || err2 != nil || got != want {
			t.Errorf("%s: accept_ra is %s, want %s (%v, %v)", what, got, want, err1, err2)
		}
	}
	a, wantA := labtest.Compiled(t, labText("one", "fd00:a::/64"))
	b, wantB := labtest.Compiled(t, labText("two", "fd00:b::/64"))
	ka, kb := openKernel(t, a), openKernel(t, b)
	for _, step := range []struct {
		what     string
		kernel   *Kernel
		want     topo.State
		acceptRA string
	}{
		{"one is up", ka, wantA, "20"}, {"two is up", kb, wantB, "20"}, {"one is down", ka, nil, "20"},
		{"one is up again", ka, wantA, "20"}, {"two is down", kb, nil, "20"}, {"both are down", ka, nil, "10"},
	} {
		var err error
		if step.want == nil {
			_, err = step.kernel.Down(t.Context(), nil)
		} else {
			_, err = step.kernel.Up(t.Context(), step.want, nil)
		}
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		checkRA(step.what, step.acceptRA)
	}
	if after := machineState(t); strings.Join(strings.Fields(after), "") != strings.Join(strings.Fields(before), "") {
		t.Errorf("the machine is not as before:\n%s\nbut:\n%s", before, after)
	}
	// After any failed request, accept_ra is as before.
	for n := range 200 {
		injectFaults(ka, func(i int) error {
			if i == n {
				return unix.EPERM
			}
			return nil
		})
		_, err := ka.Up(t.Context(), wantA, nil)
		withoutFaults(ka)
		if err == nil {
			break
		}
		checkRA("request "+err.Error(), "10")
	}
}
