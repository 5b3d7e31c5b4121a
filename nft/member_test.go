//go:build linux

package nft_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
)

func forwardTo(port uint16, proto nft.Proto, to string) nft.Forward {
	return nft.Forward{Proto: proto, Ports: nft.Port(port), To: addr(to), ToPort: 80}
}

// TestElements adds and deletes single elements, in a table that has none yet and in one that has the sets.
func TestElements(t *testing.T) {
	w := newTestNet(t)
	check := func(when string, want ...nft.Rule) {
		t.Helper()
		var have []nft.Rule
		counted, err := w.nft.Read("vnet")
		for _, r := range counted {
			have = append(have, r.Rule)
		}
		if err != nil || !slices.Equal(have, want) {
			t.Errorf("%s: %v, %v", when, have, err)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	red, blue := forwardTo(81, nft.TCP, "192.168.15.2"), forwardTo(82, nft.UDP, "192.168.15.3")
	tenant := nft.Tenant{Addr: blue.To}
	ok(w.nft.AddElements("vnet", red))
	ok(w.nft.AddElements("vnet", red, blue, tenant))
	check("added", red, blue, tenant)
	other := red
	other.To = addr("192.168.15.9")
	ok(w.nft.DeleteForwards("vnet", []nft.Forward{other})) // its port leads elsewhere
	check("deleted what is not there", red, blue, tenant)
	ok(w.nft.AddElements("vnet", other))
	check("replaced", other, blue, tenant)
	other.ToPort = 0
	ok(w.nft.DeleteForwards("vnet", []nft.Forward{other, blue}, other.To, blue.To))
	check("deleted", tenant)
	if text := w.sh(w.machine, "nft list set inet vnet targets4"); strings.Contains(text, "15.3") ||
		strings.Contains(text, "15.9") {
		t.Error(text)
	}
	if err := w.nft.AddElements("vnet", nft.Tenant{}); err == nil {
		t.Error("a tenant without an address")
	}
}

func TestTenancies(t *testing.T) {
	w := newTestNet(t)
	to := []netip.Addr{addr("192.168.15.2"), addr("fd00:15::3")}
	ask := func() string {
		t.Helper()
		found, err := w.nft.Tenancies("vnet", to...)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(found)
	}
	if got := ask(); got != "[{false false false []} {false false false []}]" {
		t.Error(got)
	}
	w.apply(nil, []nft.Rule{forwardTo(81, nft.TCP, "192.168.15.2"), nft.Tenant{Addr: to[1]}})
	if got := ask(); got != "[{true false true [tcp dport 81 dnat ip to 192.168.15.2:80]} {true true false []}]" {
		t.Error(got)
	}
}

// TestForgetFlows: a connection from an address, and one to it behind a forward, are forgotten; others stay.
func TestForgetFlows(t *testing.T) {
	w := newTestNet(t)
	w.apply(nil, []nft.Rule{forwardTo(81, nft.TCP, "192.168.15.2"), forwardTo(82, nft.TCP, "192.168.15.3"),
		nft.Masquerade{Source: prefix("192.168.15.0/24")}})
	w.serve(w.red, "red", "tcp", "192.168.15.2:80")
	w.serve(w.blue, "blue", "tcp", "192.168.15.3:80")
	w.serve(w.outside, "outside", "tcp", "10.9.0.2:80")
	for _, to := range []string{"10.9.0.1:81", "10.9.0.1:82"} {
		if got := w.connect(w.outside, "tcp", to, time.Second); got == "" {
			t.Fatal(to)
		}
	}
	w.connect(w.red, "tcp", "10.9.0.2:80", time.Second)
	if err := w.nft.ForgetFlows(prefix("192.168.15.2/32")); err != nil {
		t.Fatal(err)
	}
	if left := w.conntrackLines("192.168.15.2"); len(left) > 0 {
		t.Error(left)
	}
	if left := w.conntrackLines("192.168.15.3"); len(left) == 0 {
		t.Error("a connection of another address is forgotten")
	}
}
