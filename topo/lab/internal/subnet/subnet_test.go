package subnet

import (
	"net/netip"
	"testing"
)

func TestFirstAndLastAddress(t *testing.T) {
	for _, c := range []struct{ subnet, first, last string }{
		{"10.0.0.0/24", "10.0.0.1", "10.0.0.254"},
		{"10.0.0.0/30", "10.0.0.1", "10.0.0.2"},
		{"10.0.0.0/31", "10.0.0.0", "10.0.0.1"},
		{"10.0.0.7/32", "10.0.0.7", "10.0.0.7"},
		{"0.0.0.0/0", "0.0.0.1", "255.255.255.254"},
		{"255.255.255.0/24", "255.255.255.1", "255.255.255.254"},
		{"fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff"},
		{"fd00::/127", "fd00::", "fd00::1"},
		{"fd00::8/128", "fd00::8", "fd00::8"},
	} {
		s := netip.MustParsePrefix(c.subnet)
		if first, last := First(s), Last(s); first.String() != c.first || last.String() != c.last {
			t.Errorf("%s: %s to %s, want %s to %s", s, first, last, c.first, c.last)
		}
	}
}

// A link can have any address but the special ones.
func TestKind(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1": "", "fd00::1": "", "fe80::1": "", "169.254.0.1": "", "240.0.0.1": "",
		"0.1.2.3": "unspecified", "127.8.0.1": "loopback", "224.0.0.251": "multicast", "239.255.255.255": "multicast",
		"255.255.255.255": "broadcast", "255.255.255.254": "",
		"::": "unspecified", "::1": "loopback", "::2": "", "ff02::1": "multicast",
	} {
		if got := Kind(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
	for addr, want := range map[string]string{
		"fe80::1": "link-local", "169.254.0.1": "", "10.0.0.1": "", "fd00::1": "", "::1": "loopback",
		"224.0.0.1": "multicast",
	} {
		if got := KindForNAT(netip.MustParseAddr(addr)); got != want {
			t.Errorf("for NAT, %s is %q, want %q", addr, got, want)
		}
	}
	for prefix, want := range map[string]string{
		"10.0.0.0/8": "", "126.0.0.0/7": "loopback", "255.255.255.0/24": "", "255.255.255.255/32": "broadcast",
		"::/64": "unspecified", "fe00::/7": "multicast",
	} {
		if got := KindIn(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s has %q addresses, want %q", prefix, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	subnets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64")}
	in, out := netip.MustParseAddr("fd00::7"), netip.MustParseAddr("10.0.1.1")
	if s := Of(in, subnets); s != subnets[1] {
		t.Errorf("%s is in %s, want %s", in, s, subnets[1])
	}
	if s := Of(out, subnets); s.IsValid() {
		t.Errorf("%s is in %s, want none", out, s)
	}
	if got := Within([]netip.Addr{out, in}, subnets); len(got) != 1 || got[0].String() != "fd00::7/64" {
		t.Errorf("Within returns %v, want fd00::7/64", got)
	}
}
