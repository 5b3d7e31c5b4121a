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
		{"add 10.0.0.1 dev lo", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/32")}},
		{"add 10/8 dev v0", unix.AF_INET, rtnl.Addr{Prefix: pfx("10.0.0.0/8")}},
		{"add fd00::1/64 dev v0 nodad", unix.AF_INET6, rtnl.Addr{Prefix: pfx("fd00::1/64"), Flags: unix.IFA_F_NODAD}},
		{"add 10.0.0.1 peer 10.0.0.2 dev v0\nadd 10.0.0.1 remote 10.0.0.2 dev v0", 0,
			rtnl.Addr{Prefix: pfx("10.0.0.1/32"), Peer: ipa("10.0.0.2")}},
		{"add 10.0.0.1 peer 10.0.0.0/24 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Peer: ipa("10.0.0.0")}},
		{"add 10.0.0.1/24 brd + dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.255")}},
		{"add 10.0.0.1/24 brd - dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.0")}},
		{"add 10.0.0.1/24 broadcast 10.0.0.9 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Broadcast: ipa("10.0.0.9")}},
		{"del 10.0.0.1/24 brd + dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.1/24")}},
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
		{"add 10.0.0.1/24 dev v0 valid_lft 20 preferred_lft 20", 0,
			rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Valid: 20, Preferred: 20}},
		{"add 10.0.0.1/24 dev v0 valid_lft 4294967295 metric 4294967295", 0,
			rtnl.Addr{Prefix: pfx("10.0.0.1/24"), Valid: forever, Preferred: forever, Metric: 1<<32 - 1}},
		{"add peer 10.0.0.2/24 dev v0", 0, rtnl.Addr{Prefix: pfx("10.0.0.2/24")}},
		{"add peer fd00::2 fd00::1 dev v0", 0, rtnl.Addr{Prefix: pfx("fd00::1/128"), Peer: ipa("fd00::2")}},
		{"del fd00::1 dev v0", 0, rtnl.Addr{Prefix: pfx("fd00::1/128")}},
		{"add ::1 dev lo", 0, rtnl.Addr{Prefix: pfx("::1/128")}},
		{"del 127.0.0.5/8 dev lo", 0, rtnl.Addr{Prefix: pfx("127.0.0.5/8")}},
		{"add ff05::1/64 dev v0 nodad home mngtmpaddr optimistic autojoin", 0, rtnl.Addr{Prefix: pfx("ff05::1/64"),
			Flags: unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_OPTIMISTIC |
				unix.IFA_F_MCAUTOJOIN}},
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
	// An address without a length is deleted with any, and added without a network: there is a note.
	for line, want := range map[string]string{
		"del 10.0.0.1 dev v0": "10.0.0.1 has no prefix length: any prefix length matches; 10.0.0.1/32 matches only /32",
		"add 10.0.0.1 dev v0": "10.0.0.1 has no prefix length: it becomes 10.0.0.1/32, with no other address in its network",
		"add fd00::1 dev v0":  "fd00::1 has no prefix length: it becomes fd00::1/128, with no other address in its network",
	} {
		w := Of(strings.Fields(line))
		got := w.AddrChange(w.AddrVerb(), 0)
		if w.Err != nil || len(got.Notes) != 1 || got.Notes[0] != want {
			t.Errorf("addr %s: %v, notes %q, want %q", line, w.Err, got.Notes, want)
		}
		if got.Addr.AnyLength != strings.HasPrefix(line, "del") {
			t.Errorf("addr %s: any length: %v", line, got.Addr.AnyLength)
		}
	}
	// Flags that only the kernel sets are ignored, with a note each.
	r := Of(strings.Fields(
		"10.0.0.1/24 dev v0 tentative secondary dadfailed deprecated permanent temporary stable-privacy"))
	if got := r.AddrChange("add", 0); r.Err != nil || len(got.Notes) != 7 || got.Addr.Flags != 0 {
		t.Errorf("flags: %v, %+v", r.Err, got)
	}
	// Flags of IPv6 are ignored for IPv4, with a note.
	w := Of(strings.Fields("10.0.0.1/24 dev v0 nodad optimistic"))
	if got := w.AddrChange("add", 0); got.Addr.Flags != 0 || len(got.Notes) != 2 || w.Err != nil {
		t.Errorf("%+v, %v", got, w.Err)
	}
	w = Of(strings.Fields("10.0.0.1/24 help dev v0"))
	if got := w.AddrChange("add", 0); !got.Help || got.Dev != "" || w.Err != nil {
		t.Errorf("addr add help: %+v, %v", got, w.Err)
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
		{"add 10.0.0.1/24 dev v0 metric 4294967296", 0, `"metric": "4294967296" is not a number`, 0},
		{"add 10.0.0.1/24 dev v0 valid_lft 4294967296", 0,
			`"valid_lft": "4294967296" is neither seconds nor "forever"`, 0},
		{"add 10.0.0.1/24 dev v0 peer", 0, `"peer" needs a value`, 0},
		{"add local", 0, `"local" needs a value`, 0},
		{"add any dev v0", 0, `expected an IP prefix, not "any"`, 1},
		{"add peer fd00::1 10.0.0.1 dev v0", 0, `expected an IPv6 prefix, not "10.0.0.1"`, 1},
		{"add 10.0.0.1/24 autojoin dev v0", 0, `"autojoin" is only for multicast addresses`, 1},
		{"add 10.0.0.1/24 peer 10.0.0.2 peer 10.0.0.3 dev v0", 0, `"peer" is given twice`, 0},
		{"add 10.0.0.1/24 brd + broadcast 10.0.0.9 dev v0", 0, `"broadcast" is given twice`, 0},
		{"add 10.0.0.1/24 valid_lft 5 valid_lft 5 dev v0", 0, `"valid_lft" is given twice`, 0},
		{"add 10.0.0.1/24 preferred_lft 5 preferred_lft 5 dev v0", 0, `"preferred_lft" is given twice`, 0},
		{"add 10.0.0.1/24 brd 10.0.0.x dev v0", 0, `expected an IPv4 address, not "10.0.0.x"`, 1},
		{"add 10.0.0.1/24 brd", 0, `"brd" needs a value`, 0},
		{"dle 10.0.0.1/24 dev v0", 0, `address command "dle" is unknown`, 0},
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
		"to 0/0":                           "local lan",
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

// TestAddrSelectionFamily checks that a family selects addresses of that family, and other families none.
func TestAddrSelectionFamily(t *testing.T) {
	four, six := rtnl.Addr{Prefix: pfx("10.0.0.1/24")}, rtnl.Addr{Prefix: pfx("fd00::1/64")}
	for family, want := range map[int][2]bool{
		0: {true, true}, unix.AF_INET: {true, false}, unix.AF_INET6: {false, true}, unix.AF_BRIDGE: {false, false},
	} {
		s := Of(nil).AddrSelection(family)
		if got := [2]bool{s.MatchesAddr(four, "v0"), s.MatchesAddr(six, "v0")}; got != want {
			t.Errorf("family %d: %v, want %v", family, got, want)
		}
	}
}

// TestAddrSelectionWords checks what the words of addr show select besides addresses.
func TestAddrSelectionWords(t *testing.T) {
	for words, want := range map[string]AddrSelection{
		"v0":                      {LinkSelection: LinkSelection{Dev: "v0"}},
		"help scope galaxy":       {LinkSelection: LinkSelection{Help: true}},
		"up type veth master br0": {LinkSelection: LinkSelection{Up: true, Kind: "veth", Master: "br0"}},
		"to fd00::/8":             {Family: unix.AF_INET6, To: pfx("fd00::/8")},
		"label v0:*":              {Label: "v0:*"},
		"scope link":              {Scope: unix.RT_SCOPE_LINK, HasScope: true},
		"proto kernel_ra":         {Proto: 2, HasProto: true},
		"-permanent tentative": {Flags: unix.IFA_F_TENTATIVE,
			Mask: unix.IFA_F_PERMANENT | unix.IFA_F_TENTATIVE},
		"permanent dynamic": {Mask: unix.IFA_F_PERMANENT},
		"-dynamic -primary": {Flags: unix.IFA_F_PERMANENT | unix.IFA_F_SECONDARY,
			Mask: unix.IFA_F_PERMANENT | unix.IFA_F_SECONDARY},
	} {
		w := Of(strings.Fields(words))
		if diff := cmp.Diff(want, w.AddrSelection(0), cmpPrefix); diff != "" || w.Err != nil {
			t.Errorf("addr show %s: %v, -want +got\n%s", words, w.Err, diff)
		}
	}
	for words, want := range map[string]string{
		"scope galaxy":   `scope "galaxy" is unknown`,
		"scope":          `"scope" needs a value`,
		"proto nobody":   `protocol "nobody" is unknown`,
		"label":          `"label" needs a value`,
		"to 10.0.0.0/33": `expected an IP prefix, not "10.0.0.0/33"`,
		"group nobody":   `group "nobody" is unknown`,
		"dev":            `"dev" needs a value`,
		"v0 v1":          `word "v1" is unknown`,
	} {
		w := Of(strings.Fields(words))
		if w.AddrSelection(0); w.Err == nil || w.Err.Error() != want {
			t.Errorf("addr show %s: %v, want %s", words, w.Err, want)
		}
	}
	w := Of([]string{"dev", ""})
	if w.AddrSelection(0); w.Err == nil || w.Err.Error() != "a link's name cannot be empty" || w.Err.(*Error).Status != 1 {
		t.Errorf("addr show dev '': %v", w.Err)
	}
}
