package live

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

// movedLab has a server and its neighbours: a host, the machine and one behind an uplink.
const movedLab = `
name: moved
networks: {sw: {subnets: [10.1.0.0/24, "fd00:1::/64"], uplink: wire0}}
hosts:
  red: {networks: {sw: {address: [10.1.0.10, "fd00:1::10"]}}}
  peer: {networks: [sw]}
`

// makeOutside makes a namespace behind the link wire0 of the machine, with addresses of the lab's
// subnets.
func makeOutside(t *testing.T) {
	t.Helper()
	labtest.IP(t, "netns add outside")
	t.Cleanup(func() { labtest.IP(t, "netns del outside") })
	labtest.IP(t, "link add wire0 type veth peer name eth0 netns outside")
	t.Cleanup(func() { labtest.IP(t, "link del wire0") })
	labtest.IP(t, "link set wire0 up")
	labtest.IP(t, "-n outside link set eth0 up")
	labtest.IP(t, "-n outside addr add 10.1.0.99/24 dev eth0")
	labtest.IP(t, "-n outside addr add fd00:1::99/64 dev eth0 nodad")
}

// checkAllReach checks that all neighbours reach the server's addresses, and so know its MAC address.
func checkAllReach(t *testing.T) {
	t.Helper()
	for _, host := range []string{"peer", "outside", ""} {
		for _, addr := range []string{"10.1.0.10", "fd00:1::10"} {
			if host == "" {
				checkMachineReaches(t, addr)
			} else {
				checkReaches(t, host, addr)
			}
		}
	}
}

func checkMachineReaches(t *testing.T, addr string) {
	t.Helper()
	if err := dialClosedPort(addr); err != nil {
		t.Errorf("the machine -> %v", err)
	}
}

// All neighbours reach an address at once after it moved to another host, in one change or in two,
// and after the MAC address of its host changed.
func TestMovedAddressIsReached(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	makeOutside(t)
	name, want := labtest.Compiled(t, movedLab)
	k := openKernel(t, name)
	up(t, k, want)
	checkAllReach(t)
	green := strings.Replace(movedLab, "red:", "green:", 1)
	steps := []struct{ what, text string }{
		{"another host has the address", green},
		{"its host has a new MAC address",
			strings.Replace(green, "sw: {address", "sw: {mac: '02:00:00:00:00:77', address", 1)},
		{"nobody has it", strings.Replace(movedLab, "0.10, \"fd00:1::10\"", "0.20, \"fd00:1::20\"", 1)},
		{"the first host has it again", movedLab},
	}
	for _, s := range steps {
		t.Run(s.what, func(t *testing.T) {
			_, want := labtest.Compiled(t, s.text)
			up(t, k, want)
			if s.what != "nobody has it" {
				checkAllReach(t)
			}
		})
	}
}

// Without the announcements, the neighbours do not reach the address: the test above can fail.
func TestMovedAddressWithoutAnnouncement(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	makeOutside(t)
	name, want := labtest.Compiled(t, movedLab)
	k := openKernel(t, name)
	up(t, k, want)
	checkAllReach(t)
	_, moved := labtest.Compiled(t, strings.Replace(movedLab, "red:", "green:", 1))
	plan, err := k.Plan(moved)
	if err != nil {
		t.Fatal(err)
	}
	if err := topo.Apply(t.Context(), plan, k.Do); err != nil { // Up without its end
		t.Fatal(err)
	}
	for _, addr := range []string{"10.1.0.10", "fd00:1::10"} {
		if err := reaches("peer", addr); err == nil {
			t.Errorf("peer reaches %s", addr)
		}
	}
	k.announce(plan.Announcements(want, moved, k.knownOtherwise(plan)))
	checkAllReach(t)
}

// A new lab behind an uplink takes over an address of another machine. Only the uplink gets an
// announcement: a bridge with a thousand ports would flood a thousand of them to each.
func TestNewLabIsAnnouncedOnItsUplink(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	makeOutside(t)
	for _, addr := range []string{"10.1.0.10", "fd00:1::10"} {
		labtest.IP(t, "-n outside neigh add "+addr+" lladdr 02:00:00:00:00:66 dev eth0 nud reachable")
	}
	name, want := labtest.Compiled(t, movedLab)
	k := openKernel(t, name)
	plan := up(t, k, want)
	for _, addr := range []string{"10.1.0.10", "fd00:1::10"} {
		checkReaches(t, "outside", addr)
	}
	for _, a := range plan.Announcements(nil, want, k.knownOtherwise(nil)) {
		if a.Link != "wire0" {
			t.Errorf("%+v is sent in the lab", a)
		}
	}
}

// A new MAC address keeps the permanent neighbour entries of the link, which the kernel deletes:
// those of the lab and those of others.
func TestNewMACKeepsNeighbours(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	text := strings.Replace(virtualLab, "::10\"]}}",
		"::10\"]}}, neighbours: [10.1.0.9 lladdr 02:00:00:00:00:09 dev eth0]", 1)
	name, want := labtest.Compiled(t, text)
	k := openKernel(t, name)
	up(t, k, want)
	labtest.IP(t, "-n red neigh add fd00:1::8 lladdr 02:00:00:00:00:08 dev eth0 nud permanent")
	_, moved := labtest.Compiled(t, strings.Replace(text, "sw: {address", "sw: {mac: '02:00:00:00:00:77', address", 1))
	up(t, k, moved)
	for _, addr := range []string{"10.1.0.9", "fd00:1::8"} {
		if neigh := labtest.IP(t, "-n red neigh show "+addr); !strings.Contains(neigh, "PERMANENT") {
			t.Errorf("the entry of %s is now %q", addr, neigh)
		}
	}
}

// The same lab on two machines has different MAC addresses behind its uplink. On each machine they
// stay the same when the lab is up.
func TestSameLabOnTwoMachines(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	other, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	labtest.IPIn(t, other, "link add wire0 type veth")
	makeOutside(t)
	compile := func() topo.State {
		topology := labtest.MustParse(t, "lab.yaml", movedLab)
		if err := topology.Fill(Machine{}); err != nil {
			t.Fatal(err)
		}
		state, err := lab.Compile(topology)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	here := compile()
	var there topo.State
	_ = nsfs.Do(other, func() error { there = compile(); return nil })
	bridge := topo.LinkKey("", "sw")
	if a, b := here[bridge].(topo.Bridge).MAC, there[bridge].(topo.Bridge).MAC; a == b {
		t.Errorf("both bridges have %s", a)
	}
	k := openKernel(t, "moved")
	up(t, k, here)
	if plan := up(t, k, compile()); len(plan) > 0 {
		t.Errorf("the second up has steps:\n%s", plan)
	}
}
