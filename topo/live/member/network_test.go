//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nft"
)

func TestIsolate(t *testing.T) {
	n := testNetwork(t, func(n *Network) { n.Isolate = true })
	red, blue := newNS(t), newNS(t)
	a := attach(t, n, Member{ID: "red", Link: "eth0", NS: red})
	attach(t, n, Member{ID: "blue", Link: "eth0", NS: blue})
	to := a.Addresses[0].Prefix.Addr()
	serve(t, red, "red", to.String()+":80")
	route := fmt.Sprintf("ip route add %s via 10.77.0.1", to)
	for _, around := range []bool{false, true} {
		if around {
			sh(t, blue, route)
		}
		if got := ask(t, blue, "tcp", to.String()+":80"); got != "" {
			t.Errorf("%v: a member reaches another: %q", around, got)
		}
	}
	sh(t, blue, "ip route del "+to.String())
	n.Isolate = false
	attach(t, n, Member{ID: "green", Link: "eth0", NS: newNS(t)}) // changes the network
	if got := answer(t, blue, "tcp", to.String()+":80"); got == "" {
		t.Error("without isolation, a member does not reach another")
	}
}

// TestClosed: the outside reaches no port that is not published, unless the network is routed.
func TestClosed(t *testing.T) {
	out := outside(t)
	sh(t, out, "ip route add 10.77.0.0/16 via 192.0.2.1")
	for _, routed := range []bool{false, true} {
		n := testNetwork(t, func(n *Network) { n.Routed, n.Masquerade = routed, false })
		ns := newNS(t)
		a := attach(t, n, Member{ID: "red", Link: "eth0", NS: ns})
		to := a.Addresses[0].Prefix.Addr().String() + ":80"
		serve(t, ns, "red", to)
		question := ask
		if routed {
			question = answer
		}
		if got := question(t, out, "tcp", to); (got != "") != routed {
			t.Errorf("routed %v: %q", routed, got)
		}
		if err := Detach(context.Background(), n.Name, ID{"red", "eth0"}); err != nil {
			t.Error(err)
		}
	}
}

func TestCheck(t *testing.T) {
	n := testNetwork(t)
	ns := newNS(t)
	ctx := context.Background()
	m := Member{ID: "red", Link: "eth0", NS: ns, Ports: []Port{{Proto: nft.TCP, HostPort: 8080, Port: 80}}}
	if err := Check(ctx, n, m); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before Attach: %v", err)
	}
	a := attach(t, n, m)
	for _, p := range a.Addresses {
		m.Addresses = append(m.Addresses, p.Prefix.Addr())
	}
	for _, tt := range []struct{ change, undo, want string }{
		{"ip link set eth0 address 02:00:00:00:00:09 mtu 1400", "true", ""},
		{"ip link set eth0 down", "ip link set eth0 up; ip addr add " + a.Addresses[1].Prefix.String() + " dev eth0 nodad",
			"is down"},
		{"ip addr flush dev eth0", "true", "does not have the address"},
	} {
		sh(t, ns, tt.change)
		err := Check(ctx, n, m)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", tt.change, err)
		}
		sh(t, ns, tt.undo)
	}
}

// TestDamage: Check sees that somebody else has changed the network, and the next Attach repairs what it needs.
func TestDamage(t *testing.T) {
	n := testNetwork(t)
	ctx := context.Background()
	m := Member{ID: "red", Link: "eth0", NS: newNS(t)}
	attach(t, n, m)
	deleted := "nft delete table inet " + tableOf(n.Name)
	for i, damage := range []string{deleted, "ip link set br0 down", "ip link del br0"} {
		if err := Check(ctx, n, m); err != nil {
			t.Errorf("before %s: %v", damage, err)
		}
		sh(t, "", damage)
		if err := Check(ctx, n, m); err == nil {
			t.Errorf("after %s: no error", damage)
		}
		if err := Detach(ctx, n.Name, m.id()); err != nil {
			t.Error(err)
		}
		m = Member{ID: fmt.Sprint("red", i), Link: "eth0", NS: newNS(t)}
		attach(t, n, m)
	}
}

// TestMAC: a member has the MAC address that is wanted, and its neighbours know it at once, whoever had the address
// before.
func TestMAC(t *testing.T) {
	n := testNetwork(t)
	ctx := context.Background()
	blue := newNS(t)
	attach(t, n, Member{ID: "blue", Link: "eth0", NS: blue})
	for i, mac := range [][6]byte{{0x02, 9, 9, 9, 9, 1}, {0x02, 9, 9, 9, 9, 2}, {}, {0x02, 9, 9, 9, 9, 3}} {
		id, ns := fmt.Sprint("red", i), newNS(t)
		a := attach(t, n, Member{ID: id, Link: "eth0", NS: ns, MAC: mac,
			Addresses: []netip.Addr{netip.MustParseAddr("10.77.0.9"), netip.MustParseAddr("fd00:77::9")}})
		if mac != ([6]byte{}) && a.Link.MAC != mac {
			t.Errorf("%x, not %x", a.Link.MAC, mac)
		}
		for _, to := range []string{"10.77.0.9:80", "[fd00:77::9]:80"} {
			serve(t, ns, id, to)
			for _, from := range []string{blue, ""} {
				if got := answer(t, from, "tcp", to); !strings.HasPrefix(got, id+" ") {
					t.Errorf("%s at %s from %q: %q", id, to, from, got)
				}
			}
		}
		if err := Detach(ctx, n.Name, ID{id, "eth0"}); err != nil {
			t.Error(err)
		}
	}
}

// TestRoutes: a member has the routes that are wanted.
func TestRoutes(t *testing.T) {
	n := testNetwork(t)
	ns := newNS(t)
	a := attach(t, n, Member{ID: "red", Link: "eth0", NS: ns, Routes: []Route{
		{To: netip.MustParsePrefix("203.0.113.0/24"), MTU: 1300, Metric: 50},
		{To: netip.MustParsePrefix("198.51.100.0/24"), Via: netip.MustParseAddr("10.77.0.5"), Table: 100},
		{To: netip.MustParsePrefix("2001:db8:7::/48")},
	}})
	if len(a.Routes) != 5 || a.Routes[2].Via.String() != "10.77.0.1" {
		t.Errorf("%+v", a.Routes)
	}
	routes := sh(t, ns, "ip route; ip -6 route; ip route show table 100")
	for _, want := range []string{"default via 10.77.0.1 dev eth0",
		"203.0.113.0/24 via 10.77.0.1 dev eth0 metric 50 mtu 1300", "198.51.100.0/24 via 10.77.0.5",
		"2001:db8:7::/48 via fd00:77::1", "default via fd00:77::1"} {
		if !strings.Contains(routes, want) {
			t.Errorf("no %q in\n%s", want, routes)
		}
	}
}

// TestLayer2: a network without subnets has members without addresses, on a bridge that others made, which stays as it
// was.
func TestLayer2(t *testing.T) {
	sh(t, "", "ip link add theirs type bridge; ip link set theirs up")
	defer sh(t, "", "ip link del theirs")
	before := sh(t, "", "ip -d link show theirs")
	n := Network{Name: "l2", Bridge: "theirs"}
	ns := newNS(t)
	a := attach(t, n, Member{ID: "red", Link: "eth0", NS: ns})
	if len(a.Addresses) != 0 {
		t.Errorf("%+v", a)
	}
	sh(t, ns, "ip link show eth0 | grep LOWER_UP")
	if err := Remove(context.Background(), "l2"); !errors.Is(err, ErrMembers) {
		t.Errorf("a network with members: %v", err)
	}
	err := Detach(context.Background(), "l2", ID{"red", "eth0"})
	if err = errors.Join(err, Remove(context.Background(), "l2")); err != nil {
		t.Error(err)
	}
	after := sh(t, "", "ip -d link show theirs")
	if strings.Contains(after, "altname") || !strings.Contains(after, "group default") {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestSeveralNetworks: a container on two networks publishes each port once.
func TestSeveralNetworks(t *testing.T) {
	one := testNetwork(t)
	two := testNetwork(t, func(n *Network) {
		n.Name, n.Bridge, n.Subnets = "two", "br2", []Subnet{{Prefix: netip.MustParsePrefix("10.78.0.0/24")}}
	})
	ns := newNS(t)
	web := []Port{{Proto: nft.TCP, HostPort: 8080, Port: 80}}
	attach(t, one, Member{ID: "red", Link: "eth0", NS: ns, Ports: web})
	a := attach(t, two, Member{ID: "red", Link: "eth1", NS: ns, Ports: web, Routes: nil})
	if len(a.Ports) != 0 {
		t.Errorf("%+v", a.Ports)
	}
	_, err := Attach(context.Background(), two, Member{ID: "blue", Link: "eth0", NS: newNS(t), Ports: web})
	var taken *TakenError
	if !errors.As(err, &taken) || taken.Network != "net" {
		t.Errorf("%v", err)
	}
}

// TestWrongNetworks: what the kernel would refuse, or would do only in part, is refused before anything is made.
func TestWrongNetworks(t *testing.T) {
	subnet := func(text string) Subnet { return Subnet{Prefix: netip.MustParsePrefix(text)} }
	for want, n := range map[string]Network{
		"subnet 10.0.0.1/24 has host bits; the subnet is 10.0.0.0/24": {Subnets: []Subnet{subnet("10.0.0.1/24")}},
		"subnet 10.0.0.0/31 has no room for a gateway and a member":   {Subnets: []Subnet{subnet("10.0.0.0/31")}},
		"subnets 10.0.0.0/24 and 10.0.0.0/25 overlap": {Subnets: []Subnet{subnet("10.0.0.0/24"),
			subnet("10.0.0.0/25")}},
		"mtu 67: expected 68 to 65535":     {MTU: 67},
		"mtu 65536: expected 68 to 65535":  {MTU: 65536},
		"mtu 1279: expected 1280 to 65535": {MTU: 1279, Subnets: []Subnet{subnet("fd00::/64")}},
		"gateway 10.1.0.1 is not in subnet": {Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24"),
			Gateway: netip.MustParseAddr("10.1.0.1")}}},
	} {
		n.Name, n.Bridge = "net", "br0"
		if err := n.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	n := Network{Name: "net", Bridge: "br0", MTU: 1280, Subnets: []Subnet{subnet("fd00::/64"), subnet("10.0.0.0/30")}}
	if err := n.check(); err != nil {
		t.Error(err)
	}
	if err := (Member{ID: "red", Link: "eth0", MAC: [6]byte{1}}).check(Network{}); err == nil {
		t.Error("a multicast address as the MAC address of a link")
	}
}
