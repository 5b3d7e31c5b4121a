//go:build linux

package topo

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vnet-lab/vnet/rtnl"
)

// starOf is a switch with so many hosts.
func starOf(hosts int) string {
	return fmt.Sprintf("name: star\nnetworks: {sw: {subnets: [10.0.0.0/16]}}\nhosts:\n  h: {networks: [sw], repeat: %d}\n", hosts)
}

// BenchmarkThousandHosts brings a star of a thousand hosts up, looks again, adds a
// host, and takes it down: what make profile looks at.
func BenchmarkThousandHosts(b *testing.B) {
	name, want := compiled(b, starOf(1000))
	_, more := compiled(b, starOf(1001))
	k := openKernel(b, name)
	up := func(s State) {
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

// TestCablesAreBornWithOneQueue: with one for each processor, the kernel would wait at the
// birth of each end until nobody uses the others.
func TestCablesAreBornWithOneQueue(t *testing.T) {
	name, want := compiled(t, starOf(2))
	k := openKernel(t, name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range k.spaces {
		links, err := s.conn.Links(rtnl.LinkFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if l.Kind.Name == "veth" && (l.Limits.TxQueues != 1 || l.Limits.RxQueues != 1) {
				t.Errorf("%slink %s has %d and %d queues", in(s.name), l.Name, l.Limits.TxQueues, l.Limits.RxQueues)
			}
		}
	}
}

// TestCostPerHost counts what a host costs: what is asked of the kernel, step by
// step, and allocations. Neither depends on the machine, so a regression is seen at
// once.
func TestCostPerHost(t *testing.T) {
	const few, many = 10, 60
	type cost struct{ up, again, down, allocs float64 }
	name, _ := compiled(t, starOf(few))
	k := openKernel(t, name)
	of := func(hosts int) (c cost) {
		_, want := compiled(t, starOf(hosts))
		count := func(what func() (Plan, error)) float64 {
			t.Helper()
			n := 0
			k.fault = func(int) error { n++; return nil }
			if _, err := what(); err != nil {
				t.Fatal(err)
			}
			k.fault = nil
			return float64(n)
		}
		c.up = count(func() (Plan, error) { return k.Up(t.Context(), want, nil) })
		c.again = count(func() (Plan, error) { return k.Up(t.Context(), want, nil) })
		c.allocs = testing.AllocsPerRun(3, func() {
			if _, err := k.Snapshot(want); err != nil {
				t.Fatal(err)
			}
		})
		c.down = count(func() (Plan, error) { return k.Down(t.Context(), nil) })
		return c
	}
	a, b := of(few), of(many)
	for _, c := range []struct {
		what       string
		got, limit float64
	}{
		// A namespace, a cable and its near end's mark, three links up, one of them
		// quiet, an address, a route, a file for names.
		{"requests to make a host", (b.up - a.up) / (many - few), 10},
		{"requests for a host that is there", (b.again - a.again) / (many - few), 0},
		// A cable into the group, a file, a namespace; the group once for all.
		{"requests to take a host away", (b.down - a.down) / (many - few), 3},
		{"allocations to read a host", (b.allocs - a.allocs) / (many - few), 260},
	} {
		t.Logf("%s: %.1f", c.what, c.got)
		if c.got > c.limit {
			t.Errorf("%s: %.1f, at most %v", c.what, c.got, c.limit)
		}
	}
}

// TestUpRightAfterDown: a lab that was taken down can be made again at once, a hundred
// times: nothing of it is left to the kernel's own time that a new one could meet.
func TestUpRightAfterDown(t *testing.T) {
	name, want := compiled(t, starOf(5))
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
