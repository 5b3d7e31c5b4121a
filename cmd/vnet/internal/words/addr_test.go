package words

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

func TestAddrVerb(t *testing.T) {
	for words, want := range map[string]string{
		"": "show", "a": "add", "ad": "add", "add": "add", "c": "change", "chg": "change", "r": "replace", "d": "delete",
		"del": "delete",
		"s":   "show", "sh": "show", "l": "show", "ls": "show", "list": "show", "f": "flush", "h": "help",
	} {
		w := Of(strings.Fields(words))
		if got := w.AddrVerb(); got != want || w.Err != nil {
			t.Errorf("addr %s: %q, %v; want %q", words, got, w.Err, want)
		}
	}
}

func TestAddrChange(t *testing.T) {
	const forever = rtnl.Forever
	for _, tt := range []struct {
		lines  string // one per line, with the verb
		family int
		want   rtnl.Addr
	}{
		{"add 10.0.0.1/24 dev v0\nadd dev v0 10.0.0.1/24\nadd local 10.0.0.1/24 dev v0\nadd 10.0.0.1/255.255.255.0 dev v0",
			0, rtnl.Addr{Prefix: pfx("10.0.0.1/24")}},
		{"add 10.0.0.1 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/32")}},
		{"add 10/8 dev v0", unix.AF_INET, rtnl.Addr{Prefix: pfx("10.0.0.0/8")}},
		{"add fd00::1/64 dev v0 nodad", unix.AF_INET6, rtnl.Addr{Prefix: pfx("fd00::1/64"), Flags: unix.IFA_F_NODAD}},
		{"add 10.0.0.1 peer 10.0.0.2 dev v0\nadd 10.0.0.1 remote 10.0.0.2 dev v0", 0,
			rtnl.Addr{Prefix: pfx("10.0.0.1/32"), Peer: ipa("10.0.0.2")}},
		{"add 10.0.0.1 peer 10.0.0.0/24 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Peer: ipa("10.0.0.0")}},
		{"add 10.0.0.1/24 brd + dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.255")}},
		{"add 10.0.0.1/24 brd - dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.0")}},
		{"add 10.0.0.1/24 broadcast 10.0.0.9 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.9")}},
		{"del 10.0.0.1/24 brd + dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24")}},
		{"del 10.0.0.1 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/32"), AnyLength: true}},
		{"del 10.0.0.1/32 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/32")}},
		{"add 127.0.0.5/8 dev lo", 0, rtnl.Addr{Prefix: pfx("127.0.0.5/8"), Scope: unix.RT_SCOPE_HOST}},
		{"add 127.0.0.5/8 scope global dev lo", 0, rtnl.Addr{Prefix: pfx("127.0.0.5/8")}},
		{"add 10.0.0.1/24 dev v0 scope link label v0:x metric 5 proto 77", 0,
			rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Scope: unix.RT_SCOPE_LINK, Label: "v0:x", Metric: 5, Proto: 77}},
		{"add fd00::1/64 dev v0 proto kernel_ra noprefixroute home", 0,
			rtnl.Addr{Prefix: pfx("fd00::1/64"), Proto: 2, Flags: unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_HOMEADDRESS}},
		{"add 10.0.0.1/24 dev v0 valid_lft 20 preferred_lft 10", 0,
			rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Valid: 20, Preferred: 10}},
		{"add 10.0.0.1/24 dev v0 preferred_lft 10", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Valid: forever, Preferred: 10}},
		{"add 10.0.0.1/24 dev v0 valid_lft forever preferred_lft 0", 0,
			rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Valid: forever}},
	} {
		for line := range strings.Lines(tt.lines) {
			w := Of(strings.Fields(line))
			got := w.AddrChange(w.AddrVerb(), tt.family)
			if diff := cmp.Diff(tt.want, got.Addr, cmpPrefix, cmpAddr); diff != "" || w.Err != nil || got.Dev == "" ||
				got.Notes != nil {
				t.Errorf("addr %s: %v, dev %q, %v -want +got\n%s", line, w.Err, got.Dev, got.Notes, diff)
			}
		}
	}
	// Flags of IPv6 are ignored for IPv4, with a note.
	w := Of(strings.Fields("10.0.0.1/24 dev v0 nodad optimistic"))
	if got := w.AddrChange("add", 0); got.Addr.Flags != 0 || len(got.Notes) != 2 || w.Err != nil {
		t.Errorf("%+v, %v", got, w.Err)
	}
}

func TestAddrMistakes(t *testing.T) {
	for _, tt := range []struct {
		words  string
		family int
		want   string
		status int
	}{
		{"add 10.0.0.1/24", 0, `the link is missing: "dev" is required`, 1},
		{"add dev v0", 0, "the address is missing", 2},
		{"add 10.0.0.1/33 dev v0", 0, `expected an IP prefix, not "10.0.0.1/33"`, 1},
		{"add 10.0.0.1/24 dev v0", unix.AF_INET6, `expected an IPv6 prefix, not "10.0.0.1/24"`, 1},
		{"add fd00::1/64 dev v0", unix.AF_INET, `expected an IPv4 prefix, not "fd00::1/64"`, 1},
		{"add 10.0.0.1/24 dev v0 10.0.0.2/24", 0, `word "10.0.0.2/24" is unknown`, 0},
		{"add 10.0.0.1/24 dev v0 nodda", 0, `word "nodda" is unknown`, 0},
		{"add 10.0.0.1 peer fd00::1 dev v0", 0, `expected an IPv4 prefix, not "fd00::1"`, 1},
		{"add fd00::1/64 brd + dev v0", 0, "broadcast: only IPv4 addresses have a broadcast address", 1},
		{"add 10.0.0.1/24 dev v0 scope galaxy", 0, `scope "galaxy" is unknown`, 0},
		{"add 10.0.0.1/24 dev v0 proto nobody", 0, `protocol "nobody" is unknown`, 0},
		{"add 10.0.0.1/24 dev v0 metric much", 0, `"metric": "much" is not a number`, 0},
		{"add 10.0.0.1/24 dev v0 valid_lft soon", 0, `"valid_lft": "soon" is neither seconds nor "forever"`, 0},
		{"add 10.0.0.1/24 dev v0 valid_lft 10 preferred_lft 20", 0, "preferred_lft is greater than valid_lft", 1},
		{"add 10.0.0.1/24 dev v0 valid_lft 0 preferred_lft 0", 0, "valid_lft is zero", 1},
		{"add 10.0.0.1/24 dev", 0, `"dev" needs a value`, 0},
	} {
		w := Of(strings.Fields(tt.words))
		w.AddrChange(w.AddrVerb(), tt.family)
		e, ok := w.Err.(*Error)
		if !ok || e.Text != tt.want || e.Status != tt.status {
			t.Errorf("addr %s: %#v\nwant %q, %d", tt.words, w.Err, tt.want, tt.status)
		}
	}
}

// TestAddrSelection checks selections and which of three addresses they match.
func TestAddrSelection(t *testing.T) {
	local := rtnl.Addr{Prefix: pfx("127.0.0.1/8"), Scope: unix.RT_SCOPE_HOST, Flags: unix.IFA_F_PERMANENT}
	lan := rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Label: "v0:x", Flags: unix.IFA_F_SECONDARY, Proto: 77}
	six := rtnl.Addr{Prefix: pfx("fd00::1/64"), Flags: unix.IFA_F_TENTATIVE | unix.IFA_F_PERMANENT}
	for words, want := range map[string]string{
		"": "local lan six", "to 10.0.0.0/8": "lan", "to fd00::/16": "six", "scope host": "local", "scope global": "lan six",
		"scope all": "local lan six",
		"permanent": "local six", "dynamic": "lan", "secondary": "lan", "primary": "local six", "-secondary": "local six",
		"tentative":  "six",
		"-tentative": "local lan", "label v0": "local six", "label v0:*": "lan", "label v0*": "local lan six",
		"proto 77": "local lan six", "proto 78": "local six",
		"dev v0 up permanent scope global": "six",
	} {
		w := Of(strings.Fields(words))
		s := w.AddrSelection(0)
		var got []string
		for i, a := range []rtnl.Addr{local, lan, six} {
			if s.MatchesAddr(a, "v0") {
				got = append(got, []string{"local", "lan", "six"}[i])
			}
		}
		if strings.Join(got, " ") != want || w.Err != nil {
			t.Errorf("addr show %s: %v, %v; want %s", words, got, w.Err, want)
		}
		if s.LimitsAddrs() != (words != "" && words != "scope all") {
			t.Errorf("addr show %s limits addresses: %t", words, s.LimitsAddrs())
		}
	}
}
