package live

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// keepLinksChanging creates and deletes links in a namespace during the whole test, so that
// every dump of the links is interrupted.
func keepLinksChanging(t *testing.T, name string) {
	t.Helper()
	ns, err := nsfs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	dial := func() *rtnl.Conn {
		c, err := rtnl.Dial(ns)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	bridge := func(i int) rtnl.LinkConfig {
		return rtnl.LinkConfig{Name: fmt.Sprintf("b%d", i), Index: uint32(1000 + i), Kind: rtnl.Kind{Name: "bridge"}}
	}
	var many []rtnl.Request
	for i := range 500 {
		many = append(many, rtnl.AddLink(bridge(i)))
	}
	if err := dial().Do(many...); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var working sync.WaitGroup
	for i := 1000; i < 1008; i++ {
		c, one := dial(), bridge(i)
		working.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if err := c.Do(rtnl.AddLink(one), rtnl.DeleteLink(rtnl.LinkID{Index: one.Index})); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	t.Cleanup(func() { close(ended); working.Wait() })
}

// A foreign namespace whose links change all the time does not disturb work on a lab.
func TestChangingForeignNamespace(t *testing.T) {
	labtest.NeedIP(t)
	labtest.IP(t, "netns add evil")
	t.Cleanup(func() { labtest.IP(t, "netns del evil") })
	keepLinksChanging(t, "evil")
	lab, want := labtest.Compiled(t, "name: wall\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if labs, err := Labs(); err != nil || !slices.Equal(labs, []string{lab}) {
		t.Errorf("there is %q, %v", labs, err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

const twoHosts = "name: wall\nnetworks: {n: {subnets: [10.0.0.0/24]}}\n" +
	"hosts: {red: {networks: [n]}, blue: {networks: [n]}}\n"

// Root in a host can delete the mark on its lo and write that of another lab.
func TestHostWithoutMark(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := labtest.Compiled(t, twoHosts)
	before := machineState(t)
	k := openWithoutCleanup(t, lab)
	_, err := k.Up(t.Context(), want, nil)
	if err := errors.Join(err, k.Close()); err != nil {
		t.Fatal(err)
	}
	labtest.IP(t, "-n red link set lo alias vnet:other")
	labtest.IP(t, "-n blue link set lo down")
	labtest.IP(t, "-n blue link set lo name odd")
	if labs, err := Labs(); err != nil || !slices.Equal(labs, []string{lab}) {
		t.Errorf("there is %q, %v", labs, err)
	}
	other := openKernel(t, "other")
	if plan, err := other.Down(t.Context(), nil); err != nil || len(plan) > 0 {
		t.Errorf("another lab deletes %v, %v", plan, err)
	}
	if _, err := openKernel(t, lab).Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// Root in a foreign namespace can write the mark of a lab, and a record, on its lo: down does not delete the namespace,
// and there is no such lab.
func TestForgedMark(t *testing.T) {
	labtest.NeedIP(t)
	for _, set := range []string{"link set lo alias vnet:wall",
		"link property add dev lo altname vnet:wall:net.ipv4.ip_forward=0"} {
		t.Run(set, func(t *testing.T) {
			labtest.IP(t, "netns add theirs")
			defer labtest.IP(t, "netns del theirs")
			labtest.IP(t, "-n theirs "+set)
			if labs, err := Labs(); err != nil || len(labs) > 0 {
				t.Errorf("there is %q, %v", labs, err)
			}
			if plan, err := openKernel(t, "wall").Down(t.Context(), nil); err != nil || len(plan) > 0 {
				t.Errorf("down deletes %v, %v", plan, err)
			}
		})
	}
}

// Down deletes a host even if it cannot be read.
func TestUnreadableHost(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := labtest.Compiled(t, twoHosts)
	before := machineState(t)
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if err := k.table.Handles["red"].Conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Snapshot(nil); err == nil {
		t.Error("Snapshot can read a closed socket")
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// Root in a host can write records of changes on lo that no lab made.
func TestForgedRecords(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: wall\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for _, record := range []string{
		"net.=1", "net.ipv4=1", "net.%2F..%2Fx=1", "net.ipv4.route.flush=1", "net.ipv4.%2E%2E=1",
	} {
		record = mark.Of(lab) + ":" + record
		lo := rtnl.LinkID{Index: 1}
		if err := k.table.Handles["red"].Conn.Do(rtnl.AddAltNames(lo, record)); err != nil {
			t.Fatal(err)
		}
		if plan, err := k.Up(t.Context(), want, nil); err != nil || len(plan) > 0 {
			t.Errorf("%s: the plan is %v, %v", record, plan, err)
		}
		if l, err := k.table.Handles["red"].Conn.Link(lo); err != nil || slices.Contains(l.AltNames, record) {
			t.Errorf("%s: lo still has it: %v", record, err)
		}
	}
}
