//go:build linux

package topo

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// TestVoices: what the lab says of addresses decides what its links say of IPv6, also
// when it changes its mind.
func TestVoices(t *testing.T) {
	lab := func(subnets string) State {
		_, want := compiled(t, `name: voices
networks: {sw: {subnets: [`+subnets+`]}, low: {subnets: [192.0.2.0/24], mtu: 1000}}
hosts:
  a: {networks: [sw, low]}
  b: {networks: [sw]}
  c: {}
  d: {}
links:
  - endpoints: ["c:eth0", "d:eth0"]
`)
		return want
	}
	k := openKernel(t, "voices")
	up := func(want State) {
		t.Helper()
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
	}
	const four, both = "10.0.0.0/24", "10.0.0.0/24, fd00::/64"
	up(lab(four))
	said(t, lab(four))
	for link, want := range map[Key]bool{{OfLink, "", "sw"}: false, {OfLink, "a", "eth0"}: false, {OfLink, "b", "eth0"}: false, {OfLink, "c", "eth0"}: true} {
		if has := linkLocal(t, link); has != want {
			t.Errorf("%s has a link-local address: %t, want %t", link, has, want)
		}
	}
	up(lab(both))
	said(t, lab(both))
	for _, link := range []Key{{OfLink, "", "sw"}, {OfLink, "a", "eth0"}} {
		if !linkLocal(t, link) {
			t.Errorf("%s speaks IPv6 now, and has no link-local address", link)
		}
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	up(lab(both))
	said(t, lab(both))
}

// said compares what the links of a lab that is up say of IPv6 with what they were told.
func said(t *testing.T, want State) {
	t.Helper()
	voices := want.voices()
	for _, o := range want {
		made, ok := o.(linked)
		if !ok {
			continue
		}
		for _, l := range made.links() {
			if l.Master != "" || !l.carries6() {
				continue
			}
			asIn(t, l.NS, func() error {
				for _, set := range voices[l.Key()].settings() {
					name, value, _ := strings.Cut(set, "=")
					if got, err := nsfs.Sysctl("net/ipv6/conf/" + l.Name + "/" + name); err != nil || got != value {
						t.Errorf("%s: %s is %s, want %s (%v)", l.Key(), name, got, value, err)
					}
				}
				return nil
			})
		}
	}
}

// linkLocal tells whether a link has a link-local address that can be used.
func linkLocal(t *testing.T, link Key) (has bool) {
	t.Helper()
	asIn(t, link.NS, func() error {
		c, err := rtnl.Dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		l, err := c.Link(rtnl.LinkID{Name: link.Name})
		if err != nil {
			return err
		}
		addrs, err := c.Addrs(rtnl.AddrFilter{Family: unix.AF_INET6})
		for _, a := range addrs {
			if a.Link == l.Index && a.Prefix.Addr().IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				has = true
			}
		}
		return err
	})
	return has
}

// asIn runs fn in a host, or in the machine.
func asIn(t *testing.T, host string, fn func() error) {
	t.Helper()
	do := fn
	if host != "" {
		do = func() error { return doIn(host, fn) }
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
}

// TestVoiceOfRoutes: who has to reach a router by its link-local address has one as well.
func TestVoiceOfRoutes(t *testing.T) {
	eth0 := Key{OfLink, "h", "eth0"}
	veth := Veth{Ends: [2]Link{{NS: "h", Name: "eth0"}, {NS: "r", Name: "eth0"}}}
	addr := Address{"h", "eth0", netip.MustParsePrefix("10.0.0.2/24")}
	route := func(dst, via string) Route {
		return Route{NS: "h", Dst: netip.MustParsePrefix(dst), Hops: JoinHops(Hop{Via: netip.MustParseAddr(via), Device: "eth0"})}
	}
	for _, c := range []struct {
		what string
		want voice
		in   State
	}{
		{"no address", curious, NewState(veth)},
		{"IPv4", quiet, NewState(veth, addr)},
		{"a link that is not the lab's", curious, NewState(addr)},
		{"a route of IPv4", quiet, NewState(veth, addr, route("10.1.0.0/16", "10.0.0.1"))},
		{"a route of IPv4 by IPv6", curious, NewState(veth, addr, route("10.1.0.0/16", "fe80::1"))},
		{"a route of IPv6", curious, NewState(veth, addr, route("fd00::/64", "fe80::1"))},
		{"IPv4 and IPv6", settled, NewState(veth, addr, Address{"h", "eth0", netip.MustParsePrefix("fd00::2/64")})},
	} {
		if got := c.in.voices()[eth0]; got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// TestLinkLocalByHand: a link may be given a link-local address of its own, of the subnet
// that each has; nobody is spoken of by it.
func TestLinkLocalByHand(t *testing.T) {
	topology, err := Parse("lab.yaml", []byte(`name: ll
networks: {sw: {subnets: [10.0.0.0/24]}}
hosts:
  a: {networks: {sw: {address: [10.0.0.5, "fe80::5/64"]}}}
  b: {networks: [sw]}
links:
  - endpoints: ["a:x", "b:x"]
    addresses: [["fe80::1/64"], ["fe80::2/64"]]
expect: ["a -> b: ping"]
`))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	for link, is := range map[Key]voice{{OfLink, "a", "eth0"}: settled, {OfLink, "a", "x"}: settled, {OfLink, "b", "eth0"}: quiet} {
		if got := want.voices()[link]; got != is {
			t.Errorf("%s: %d, want %d", link, got, is)
		}
	}
	for _, f := range Facts(topology) {
		if f.Target.IsLinkLocalUnicast() {
			t.Errorf("%s -> %s is proved at %s, which more than one link has", f.From, f.To, f.Target)
		}
	}
}
