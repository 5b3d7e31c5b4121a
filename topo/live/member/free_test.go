//go:build linux

package member

import (
	"errors"
	"net/netip"
	"testing"
)

// TestFree counts the addresses of a small range: the gateway's is not one of them.
func TestFree(t *testing.T) {
	n := testNetwork(t, func(n *Network) {
		n.Subnets[0].Ranges = []Range{{netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.3")}}
	})
	for _, id := range []string{"a", "b"} {
		if err := Free(n); err != nil {
			t.Errorf("before %s: %v", id, err)
		}
		attach(t, n, Member{ID: id, Link: "eth0", NS: newNS(t)})
	}
	if err := Free(n); !errors.Is(err, ErrExhausted) {
		t.Errorf("all are taken: got %v", err)
	}
	if err := Detach(t.Context(), n.Name, ID{"a", "eth0"}); err != nil {
		t.Fatal(err)
	}
	if err := Free(n); err != nil {
		t.Errorf("one is free again: %v", err)
	}
}
