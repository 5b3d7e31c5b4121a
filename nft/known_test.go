//go:build linux

package nft_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
)

// TestReadsOnce checks that contents which this Conn read or wrote are not read again, that what it knows is what the
// kernel has, and that it reads again what somebody else changed.
func TestReadsOnce(t *testing.T) {
	w, c := newCountingConn(t)
	other := dial(t)
	rules := slices.DeleteFunc(allRules(), func(r nft.Rule) bool {
		_, fast := r.(nft.Fastpath)
		return fast // the kernel changes flowtables itself
	})
	half, guard := rules[:len(rules)/2], nft.Guard{IPv4: true, Out: []string{"eth0"}}
	checked := func(what string, want int, fn func() error) {
		t.Helper()
		w.requests = 0
		if err := fn(); err != nil || want > 0 && w.requests != want {
			t.Errorf("%s: %d requests, %v, want %d", what, w.requests, err, want)
		}
		sameAsRead(t, c, other)
	}
	apply := func(del, add []nft.Rule) func() error { return func() error { return c.Apply("vnet", del, add) } }
	setGuard := func(g nft.Guard) func() error { return func() error { return c.Guard(g) } }
	const generation = 1 // the request for it
	checked("adding to nothing", 0, apply(nil, rules))
	checked("adding what exists", generation, apply(nil, rules))
	checked("deleting half", 0, apply(half, nil))
	checked("adding half", 0, apply(nil, half))
	checked("adding what exists", generation, apply(nil, rules))
	checked("making a guard", 0, setGuard(guard))
	checked("reading the guard", generation, func() error {
		got, err := c.ReadGuard()
		if diff := cmp.Diff(guard, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		return err
	})
	checked("adding what exists beside a guard", generation, apply(nil, rules))
	checked("somebody else deletes half", 0, func() error { return other.Apply("vnet", half, nil) })
	checked("deleting the rest", 0, apply(rules[len(rules)/2:], nil))
	checked("deleting nothing", generation, apply(nil, nil))
	checked("deleting the guard", 0, setGuard(nft.Guard{}))
	mustHaveNoTables(t, c)
}

// sameAsRead checks that Rules returns what another Conn reads from the kernel.
func sameAsRead(t *testing.T, c, other *nft.Conn) {
	t.Helper()
	var known, read []string
	rules, state, err := c.Rules("vnet")
	for _, r := range rules {
		known = append(known, r.String())
	}
	counted, readErr := other.Read("vnet")
	for _, r := range counted {
		read = append(read, r.String())
	}
	want := nft.TableState{Exists: len(read) > 0}
	if diff := cmp.Diff(read, known); diff != "" || err != nil || readErr != nil || state != want {
		t.Errorf("%+v, %v, %v, -read +known:\n%s", state, err, readErr, diff)
	}
}
