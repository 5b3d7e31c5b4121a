//go:build linux

package member

import (
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestIPv6Settings: no member gets addresses and routes from another one's router advertisements. A member with IPv4
// addresses has no link-local address; its probes and solicitations would go to all other members.
func TestIPv6Settings(t *testing.T) {
	setting := func(path, link, name string) (value string) {
		t.Helper()
		err := in(path, func() (err error) {
			value, err = nsfs.Sysctl("net/ipv6/conf/" + link + "/" + name)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return value
	}
	for id, subnets := range map[string][]Subnet{"dual": testSubnets(), "four": testSubnets()[:1]} {
		n := testNetwork(t, func(n *Network) { n.Name, n.Bridge, n.Subnets = id, id, subnets })
		ns := newNS(t)
		a := attach(t, n, Member{ID: id, Link: "eth0", NS: ns})
		if got := setting(ns, "eth0", "accept_ra"); got != "0" {
			t.Errorf("%s: accept_ra is %s", id, got)
		}
		if got := setting("", a.Host.Name, "disable_ipv6"); got != "1" {
			t.Errorf("%s: disable_ipv6 of the port is %s", id, got)
		}
		addrs := sh(t, ns, "ip -6 addr show dev eth0")
		if has := strings.Contains(addrs, "fe80:"); has != (len(subnets) == 2) || strings.Contains(addrs, "tentative") {
			t.Errorf("%s:\n%s", id, addrs)
		}
	}
}

// TestSmallMTU: a link whose MTU is too small for IPv6 has no IPv6 settings.
func TestSmallMTU(t *testing.T) {
	n := testNetwork(t, func(n *Network) { n.MTU, n.Subnets = 1000, testSubnets()[:1] })
	if a := attach(t, n, Member{ID: "red", Link: "eth0", NS: newNS(t)}); a.Link.MTU != 1000 {
		t.Errorf("%+v", a.Link)
	}
}
