package live

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// starLab returns the lab file of one network with this many hosts.
func starLab(hosts int) string {
	const text = "name: star\nnetworks: {sw: {subnets: [10.0.0.0/16]}}\nhosts:\n  h: {networks: [sw], repeat: %d}\n"
	return fmt.Sprintf(text, hosts)
}

// BenchmarkThousandHosts brings up a network with a thousand hosts, runs up again, adds a host,
// and takes the lab down. "make profile" runs it.
func BenchmarkThousandHosts(b *testing.B) {
	name, want := labtest.Compiled(b, starLab(1000))
	_, more := labtest.Compiled(b, starLab(1001))
	k := openKernel(b, name)
	up := func(s topo.State) {
		if _, err := k.Up(context.Background(), s, nil); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		up(want)
		up(want)
		up(more)
		if _, err := k.Down(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// TestVethQueues expects veth ends with one queue. With one queue per CPU the kernel would wait
// for an RCU grace period at the creation of each end.
func TestVethQueues(t *testing.T) {
	name, want := labtest.Compiled(t, starLab(2))
	k := openKernel(t, name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for _, h := range k.table.Handles {
		links, err := h.Conn.Links(rtnl.LinkFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if l.Kind.Name == "veth" && (l.Limits.TxQueues != 1 || l.Limits.RxQueues != 1) {
				t.Errorf("%slink %s has %d and %d queues", display.In(h.Name), l.Name, l.Limits.TxQueues, l.Limits.RxQueues)
			}
		}
	}
}

// TestCostPerHost limits the kernel requests and allocations per host. Their number does not
// depend on the machine, so it shows a regression at once.
func TestCostPerHost(t *testing.T) {
	const few, many = 10, 60
	type cost struct{ up, again, down, allocs float64 }
	name, _ := labtest.Compiled(t, starLab(few))
	k := openKernel(t, name)
	of := func(hosts int) (c cost) {
		_, want := labtest.Compiled(t, starLab(hosts))
		count := func(run func() (topo.Plan, error)) float64 {
			t.Helper()
			n := 0
			injectFaults(k, func(int) error { n++; return nil })
			if _, err := run(); err != nil {
				t.Fatal(err)
			}
			withoutFaults(k)
			return float64(n)
		}
		c.up = count(func() (topo.Plan, error) { return k.Up(t.Context(), want, nil) })
		c.again = count(func() (topo.Plan, error) { return k.Up(t.Context(), want, nil) })
		c.allocs = testing.AllocsPerRun(3, func() {
			if _, err := k.Snapshot(want); err != nil {
				t.Fatal(err)
			}
		})
		c.down = count(func() (topo.Plan, error) { return k.Down(t.Context(), nil) })
		return c
	}
	a, b := of(few), of(many)
	for _, c := range []struct {
		what       string
		got, limit float64
	}{
		// A namespace, a veth pair and the mark of its near end, three links up, addrgenmode
		// none for one of them, an address, a route, a hosts file.
		{"requests to create a host", (b.up - a.up) / (many - few), 10},
		{"requests for an unchanged host", (b.again - a.again) / (many - few), 0},
		// A veth pair moved into the group, a file, a namespace; the group is deleted once for all hosts.
		{"requests to delete a host", (b.down - a.down) / (many - few), 3},
		{"allocations for the snapshot of a host", (b.allocs - a.allocs) / (many - few), 260},
	} {
		t.Logf("%s: %.1f", c.what, c.got)
		if c.got > c.limit {
			t.Errorf("%s: %.1f, at most %v", c.what, c.got, c.limit)
		}
	}
}

// TestUpRightAfterDown brings a lab up right after its down, a hundred times: down waits until the
// kernel has removed everything that could conflict.
func TestUpRightAfterDown(t *testing.T) {
	name, want := labtest.Compiled(t, starLab(5))
	for cycle := range 100 {
		k, err := OpenKernel(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, up := k.Up(t.Context(), want, nil)
		_, down := k.Down(t.Context(), nil)
		if err := errors.Join(up, down, k.Close()); err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
	}
}
