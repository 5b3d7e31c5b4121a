package rtnl

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

func (g generator) rule() Rule {
	is6 := g.coin()
	r := Rule{
		Is6: is6, Not: g.coin(), In: maybe(g, g.text(15)), Out: maybe(g, g.text(15)), TOS: uint8(g.IntN(256)),
		Action: uint8(g.IntN(256)), Flags: maybe(g, uint32(unix.FIB_RULE_IIF_DETACHED|unix.FIB_RULE_UNRESOLVED)),
		Values: map[uint16]uint64{unix.FRA_PRIORITY: uint64(g.Uint32())},
	}
	if p := g.prefix(is6); p.Bits() > 0 {
		r.From = maybe(g, p)
	}
	if p := g.prefix(is6); p.Bits() > 0 {
		r.To = maybe(g, p)
	}
	for attr, v := range ruleValues {
		switch n := g.Uint64(); {
		case v.bytes == 0 || g.coin():
		case v.isRange:
			half := uint64(1)<<(4*v.bytes) - 1
			r.Values[uint16(attr)] = n&half | n>>32&half<<32
		default:
			r.Values[uint16(attr)] = n>>(64-8*v.bytes) | 1 // a table is not 0
		}
	}
	for _, attr := range []uint16{unix.FRA_SUPPRESS_PREFIXLEN, unix.FRA_SUPPRESS_IFGROUP} {
		if r.Values[attr] == 1<<32-1 { // none
			delete(r.Values, attr)
		}
	}
	return r
}

func TestRuleDecodesWhatItEncodes(t *testing.T) {
	g := newGenerator()
	for range 2000 {
		want := g.rule()
		body, err := encodeRule(want)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if got, err := decodeRule(body); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("encoded %+v\ndecoded %+v, %v", want, got, err)
		}
	}
}

// ruleOf returns a rule with pairs of an attribute and its value.
func ruleOf(r Rule, values ...uint64) Rule {
	r.Values = map[uint16]uint64{}
	for pair := range slices.Chunk(values, 2) {
		r.Values[uint16(pair[0])] = pair[1]
	}
	return r
}

// TestRuleRequests is [TestRequests] for rules.
func TestRuleRequests(t *testing.T) {
	for _, tt := range []struct {
		ip      string
		request Request
		want    string
	}{
		{
			"rule add from 10.0.0.0/8 lookup 100 pref 50",
			AddRule(ruleOf(Rule{From: pfx("10.0.0.0/8")}, unix.FRA_PRIORITY, 50, unix.FRA_TABLE, 100)),
			"2c00000020000506af800e6b00000000020008006400000100000000080002000a0000000800060032000000",
		},
		{
			"-6 rule add not to fd00::/16 iif eth1 oif eth2 fwmark 0x7/0xff tos 0x10 type prohibit",
			AddRule(ruleOf(Rule{Is6: true, Not: true, To: pfx("fd00::/16"), In: "eth1", Out: "eth2", TOS: 0x10,
				Action: unix.FR_ACT_PROHIBIT}, unix.FRA_FWMARK, 7, unix.FRA_FWMASK, 0xff)),
			"5800000020000506af800e6b000000000a100010000000080200000014000100fd00000000000000000000000000000009000300657468" +
				"310000000009001100657468320000000008000a000700000008001000ff000000",
		},
		{
			"rule add uidrange 5-100000 ipproto tcp sport 5-6 dport 80 lookup 1000 suppress_prefixlength 0 " +
				"suppress_ifgroup 3 protocol static",
			AddRule(ruleOf(Rule{}, unix.FRA_PROTOCOL, 4, unix.FRA_UID_RANGE, 5|100000<<32,
				unix.FRA_IP_PROTO, unix.IPPROTO_TCP, unix.FRA_SPORT_RANGE, 5|6<<32, unix.FRA_DPORT_RANGE, 80|80<<32,
				unix.FRA_TABLE, 1000, unix.FRA_SUPPRESS_PREFIXLEN, 0, unix.FRA_SUPPRESS_IFGROUP, 3)),
			"6000000020000506af800e6b000000000200000000000001000000000c00140005000000a086010005001600060000000800170005000600" +
				"080018005000500008000f00e803000008000e000000000008000d00030000000500150004000000",
		},
		{
			"rule add l3mdev pref 1000 tun_id 9 realms 1/2",
			AddRule(ruleOf(Rule{}, unix.FRA_TUN_ID, 9, unix.FRA_FLOW, 1<<16|2, unix.FRA_L3MDEV, 1, unix.FRA_PRIORITY, 1000)),
			"4000000020000506af800e6b00000000020000000000000100000000050013000100000008000600e80300000c000c000000000000000009" +
				"08000b0002000100",
		},
		{
			"rule add goto 200 pref 7",
			AddRule(ruleOf(Rule{Action: unix.FR_ACT_GOTO}, unix.FRA_GOTO, 200, unix.FRA_PRIORITY, 7)),
			"2c00000020000506af800e6b0000000002000000000000020000000008000400c80000000800060007000000",
		},
		{
			"rule del pref 50 from 10.0.0.0/8 lookup 100",
			DeleteRule(ruleOf(Rule{From: pfx("10.0.0.0/8")}, unix.FRA_PRIORITY, 50, unix.FRA_TABLE, 100)),
			"2c00000021000500af800e6b000000000200080064000000000000000800060032000000080002000a000000",
		},
	} {
		t.Run(tt.ip, func(t *testing.T) {
			if tt.request.err != nil {
				t.Fatal(tt.request.err)
			}
			tt.request.msg.Header.Flags |= netlink.Request | netlink.Acknowledge
			sameMessage(t, tt.want, tt.request.msg)
		})
	}
}

// TestRuleErrors: addresses of the wrong family are refused here, because the kernel would truncate them.
func TestRuleErrors(t *testing.T) {
	for _, r := range []Rule{{From: pfx("fd00::/8")}, {To: pfx("fd00::/8")}, {From: pfx("10.0.0.0/8"), Is6: true}} {
		if err := new(Conn).Do(AddRule(r)); err == nil {
			t.Errorf("%v is accepted", r)
		}
	}
	r := ruleOf(Rule{Is6: true, From: pfx("fd00::/8"), To: pfx("fd01::/16")}, unix.FRA_PRIORITY, 5)
	if got, want := r.String(), "IPv6 rule priority 5 from fd00::/8 to fd01::/16"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRulesLive: the kernel reports the rules that were added, in the order of their priorities.
func TestRulesLive(t *testing.T) {
	c := newLinkConn(t)
	// A user namespace may have no other user than 0.
	add := func(r Rule, values ...uint64) Rule { return ruleOf(r, append(values, unix.FRA_PROTOCOL, 118)...) }
	want := []Rule{
		add(Rule{From: pfx("10.0.0.0/8"), Action: unix.FR_ACT_TO_TBL}, unix.FRA_PRIORITY, 10, unix.FRA_TABLE, 100),
		add(Rule{Is6: true, To: pfx("fd00::/16"), In: "lo", Action: unix.FR_ACT_BLACKHOLE}, unix.FRA_PRIORITY, 20),
		add(Rule{Not: true, Out: "none", TOS: 8, Action: unix.FR_ACT_TO_TBL}, unix.FRA_PRIORITY, 30, unix.FRA_FWMARK, 7,
			unix.FRA_FWMASK, 0xff, unix.FRA_TABLE, 1<<31, unix.FRA_SUPPRESS_PREFIXLEN, 0, unix.FRA_SUPPRESS_IFGROUP, 3),
		add(Rule{Action: unix.FR_ACT_GOTO}, unix.FRA_PRIORITY, 40, unix.FRA_GOTO, 50, unix.FRA_IP_PROTO, unix.IPPROTO_UDP,
			unix.FRA_SPORT_RANGE, 5|6<<32, unix.FRA_DPORT_RANGE, 53|54<<32, unix.FRA_UID_RANGE, 0),
		add(Rule{Is6: true, Action: unix.FR_ACT_UNREACHABLE}, unix.FRA_PRIORITY, 50, unix.FRA_FWMARK, 1,
			unix.FRA_FWMASK, 1<<32-1),
	}
	for _, r := range want {
		if err := c.Do(AddRule(r)); err != nil {
			t.Fatal(r, err)
		}
		if err := c.Do(AddRule(r)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v twice: %v", r, err)
		}
	}
	ours := func(family uint8) (some []Rule) {
		all, err := c.Rules(family)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.Flags = 0; r.Values[unix.FRA_PROTOCOL] == 118 {
				some = append(some, r)
			}
		}
		return some
	}
	is6 := func(r Rule) bool { return r.Is6 }
	want4 := slices.DeleteFunc(slices.Clone(want), is6)
	if got := ours(unix.AF_INET); !reflect.DeepEqual(got, want4) {
		t.Errorf("IPv4: got %+v, want %+v", got, want4)
	}
	if all, only6 := ours(0), ours(unix.AF_INET6); len(all) != len(want) || len(only6) != len(want)-len(want4) {
		t.Errorf("all rules: %v, of IPv6: %v", all, only6)
	}
	for _, r := range want {
		if err := c.Do(DeleteRule(r)); err != nil {
			t.Error(err)
		}
		if err := c.Do(DeleteRule(r)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v deleted twice: %v", r, err)
		}
	}
	if left := ours(0); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestWatchRules: a watcher reports new and deleted rules.
func TestWatchRules(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	c, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := Watch(ns, GroupRule4, GroupRule6)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := ruleOf(Rule{Is6: true}, unix.FRA_PRIORITY, 5)
	if err := c.Do(AddRule(r), DeleteRule(r)); err != nil {
		t.Fatal(err)
	}
	for _, deleted := range []bool{false, true} {
		e, err := w.Next(ctx)
		if got, ok := e.Object.(Rule); err != nil || !ok || got.Values[unix.FRA_PRIORITY] != 5 || e.Deleted != deleted {
			t.Errorf("event %+v, %v", e, err)
		}
	}
}

// TestWatchUndecoded: changes of settings and of queueing disciplines are events without an object.
func TestWatchUndecoded(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	w, err := Watch(ns, GroupSettings4, GroupSettings6, GroupQdisc)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, key := range []string{"net.ipv4.conf.lo.rp_filter", "net.ipv6.conf.lo.proxy_ndp"} {
		if err := nsfs.Do(ns, func() error { return nsfs.SetSysctl(key, "1") }); err != nil {
			t.Fatal(err)
		}
		if e, err := w.Next(ctx); err != nil || e != (Event{}) {
			t.Errorf("%s: %+v, %v", key, e, err)
		}
	}
}
