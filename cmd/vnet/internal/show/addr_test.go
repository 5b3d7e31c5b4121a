package show

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestAddrs prints links with addresses in each style.
func TestAddrs(t *testing.T) {
	link := LinkAddrs{Link: rtnl.Link{Index: 2, Name: "v0", Type: unix.ARPHRD_ETHER, Flags: unix.IFF_UP, MTU: 1500,
		Qdisc: "noop", OperState: 6, Seen: seen(unix.IFLA_OPERSTATE)}}
	link.Addrs = []rtnl.Addr{
		{Prefix: netip.MustParsePrefix("10.0.0.1/32"), Peer: netip.MustParseAddr("10.0.0.2"), Metric: 5, Label: "v0",
			Flags: unix.IFA_F_PERMANENT, Valid: rtnl.Forever, Preferred: rtnl.Forever},
		{Prefix: netip.MustParsePrefix("fe80::1/64"), Scope: unix.RT_SCOPE_LINK, Flags: unix.IFA_F_PERMANENT,
			Valid: rtnl.Forever, Preferred: rtnl.Forever},
	}
	labelled := link
	labelled.NoLink, labelled.Addrs = true, link.Addrs[:1]
	const (
		four = "    inet 10.0.0.1 peer 10.0.0.2/32 metric 5 scope global v0\n       valid_lft forever preferred_lft forever"
		six  = "    inet6 fe80::1/64 scope link \n       valid_lft forever preferred_lft forever"
	)
	for _, tt := range []struct {
		what  string
		style Style
		link  LinkAddrs
		want  string
	}{
		{"a label", Style{}, labelled, four + "\n"},
		{"brief", Style{Brief: true}, link,
			"v0               UP             10.0.0.1 peer 10.0.0.2/32 metric 5 fe80::1/64 \n"},
		{"lines", Style{Oneline: true}, link, "2: v0" + strings.ReplaceAll(four, "\n", `\`) + "\n2: v0" +
			strings.ReplaceAll(six, "\n", `\`) + "\n"},
		{"JSON of lines", Style{Oneline: true, JSON: true}, labelled,
			`[{"addr_info":[{"index":2,"dev":"v0","family":"inet","local":"10.0.0.1","address":"10.0.0.2","prefixlen":32,` +
				`"metric":5,"scope":"global","label":"v0","valid_life_time":4294967295,"preferred_life_time":4294967295}]}]` +
				"\n"},
	} {
		s := LinkStyle{Style: tt.style, Link: func(uint32) (rtnl.Link, bool) { return rtnl.Link{}, false }}
		var out strings.Builder
		if err := Addrs(&out, []LinkAddrs{tt.link}, s); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%s, want\n%s", tt.what, err, out.String(), tt.want)
		}
	}
}
