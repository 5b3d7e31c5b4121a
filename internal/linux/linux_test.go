package linux

import (
	"net/netip"
	"testing"
)

func TestLinkSysctl(t *testing.T) {
	if got := LinkSysctl("ipv6", "eth0.7", "mtu"); got != "net.ipv6.conf.eth0/7.mtu" {
		t.Errorf("got %s", got)
	}
}

// TestListenOverlaps: no address and an unspecified one match any.
func TestListenOverlaps(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, tt := range []struct {
		a, b netip.Addr
		want bool
	}{
		{a, a, true}, {a, b, false}, {a, netip.Addr{}, true}, {a, netip.IPv4Unspecified(), true},
		{a, netip.IPv6Unspecified(), true},
	} {
		if ListenOverlaps(tt.a, tt.b) != tt.want || ListenOverlaps(tt.b, tt.a) != tt.want {
			t.Errorf("%v and %v: want %t", tt.a, tt.b, tt.want)
		}
	}
}
