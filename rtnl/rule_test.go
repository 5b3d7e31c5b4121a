package rtnl

import (
	"context"
	"errors"
	"io/fs"
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
		RuleConfig: RuleConfig{
			Priority: g.Uint32(), Is6: is6, Not: g.coin(), In: maybe(g, g.text(15)), Out: maybe(g, g.text(15)),
			Mark: maybe(g, g.Uint32()), MarkMask: maybe(g, g.Uint32()), TOS: uint8(g.IntN(256)),
			IPProto: uint8(g.IntN(256)), SrcPorts: maybe(g, [2]uint16{uint16(g.Uint32()), uint16(g.Uint32())}),
			DstPorts: maybe(g, [2]uint16{uint16(g.Uint32()), uint16(g.Uint32())}), HasUIDs: g.coin(), L3MDev: g.coin(),
			Action: uint8(g.IntN(256)), Table: maybe(g, g.Uint32()), Goto: maybe(g, g.Uint32()),
			HasSuppressLength: g.coin(), HasSuppressGroup: g.coin(),
		},
		HasPriority: true, Protocol: uint8(g.IntN(256)), Realms: maybe(g, g.Uint32()), TunnelID: maybe(g, g.Uint64()),
		Flags: maybe(g, uint32(unix.FIB_RULE_IIF_DETACHED|unix.FIB_RULE_UNRESOLVED)),
	}
	if p := g.prefix(is6); p.Bits() > 0 {
		r.From = maybe(g, p)
	}
	if p := g.prefix(is6); p.Bits() > 0 {
		r.To = maybe(g, p)
	}
	if r.HasUIDs {
		r.UIDs = [2]uint32{maybe(g, g.Uint32()), g.Uint32()}
	}
	if r.HasSuppressLength {
		r.SuppressLength = uint32(g.IntN(129))
	}
	if r.HasSuppressGroup {
		r.SuppressGroup = g.Uint32() >> 1
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
		if got, err := decodeRule(body); err != nil || got != want {
			t.Fatalf("encoded %+v\ndecoded %+v, %v", want, got, err)
		}
	}
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
			AddRule(Rule{HasPriority: true, RuleConfig: RuleConfig{Priority: 50, From: pfx("10.0.0.0/8"), Table: 100}}),
			"2c00000020000506af800e6b00000000020008006400000100000000080002000a0000000800060032000000",
		},
		{
			"-6 rule add not to fd00::/16 iif eth1 oif eth2 fwmark 0x7/0xff tos 0x10 type prohibit",
			AddRule(Rule{RuleConfig: RuleConfig{Is6: true, Not: true, To: pfx("fd00::/16"), In: "eth1", Out: "eth2",
				Mark: 7, MarkMask: 0xff, TOS: 0x10, Action: unix.FR_ACT_PROHIBIT}}),
			"5800000020000506af800e6b000000000a100010000000080200000014000100fd00000000000000000000000000000009000300657468" +
				"310000000009001100657468320000000008000a000700000008001000ff000000",
		},
		{
			"rule add uidrange 5-100000 ipproto tcp sport 5-6 dport 80 lookup 1000 suppress_prefixlength 0 " +
				"suppress_ifgroup 3 protocol static",
			AddRule(Rule{Protocol: 4, RuleConfig: RuleConfig{UIDs: [2]uint32{5, 100000}, HasUIDs: true,
				IPProto: unix.IPPROTO_TCP, SrcPorts: [2]uint16{5, 6}, DstPorts: [2]uint16{80, 80}, Table: 1000,
				HasSuppressLength: true, SuppressGroup: 3, HasSuppressGroup: true}}),
			"6000000020000506af800e6b000000000200000000000001000000000c00140005000000a086010005001600060000000800170005000600" +
				"080018005000500008000f00e803000008000e000000000008000d00030000000500150004000000",
		},
		{
			"rule add l3mdev pref 1000 tun_id 9 realms 1/2",
			AddRule(Rule{HasPriority: true, TunnelID: 9, Realms: 1<<16 | 2,
				RuleConfig: RuleConfig{L3MDev: true, Priority: 1000}}),
			"4000000020000506af800e6b00000000020000000000000100000000050013000100000008000600e80300000c000c000000000000000009" +
				"08000b0002000100",
		},
		{
			"rule add goto 200 pref 7",
			AddRule(Rule{HasPriority: true, RuleConfig: RuleConfig{Goto: 200, Action: unix.FR_ACT_GOTO, Priority: 7}}),
			"2c00000020000506af800e6b0000000002000000000000020000000008000400c80000000800060007000000",
		},
		{
			"rule del pref 50 from 10.0.0.0/8 lookup 100",
			DeleteRule(Rule{HasPriority: true, RuleConfig: RuleConfig{Priority: 50, From: pfx("10.0.0.0/8"), Table: 100}}),
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
	for _, r := range []Rule{
		{RuleConfig: RuleConfig{From: pfx("fd00::/8")}},
		{RuleConfig: RuleConfig{To: pfx("fd00::/8")}},
		{RuleConfig: RuleConfig{From: pfx("10.0.0.0/8"), Is6: true}},
	} {
		if err := new(Conn).Do(AddRule(r)); err == nil {
			t.Errorf("%v is accepted", r)
		}
	}
	r := Rule{HasPriority: true, RuleConfig: RuleConfig{Priority: 5, Is6: true, From: pfx("fd00::/8"), To: pfx("fd01::/16")}}
	if got, want := r.String(), "IPv6 rule priority 5 from fd00::/8 to fd01::/16"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRulesLive: the kernel reports the rules that were added, in the order of their priorities.
func TestRulesLive(t *testing.T) {
	c := newLinkConn(t)
	add := func(config RuleConfig) Rule { return Rule{RuleConfig: config, HasPriority: true, Protocol: 118} }
	want := []Rule{
		add(RuleConfig{Priority: 10, From: pfx("10.0.0.0/8"), Table: 100, Action: unix.FR_ACT_TO_TBL}),
		add(RuleConfig{Priority: 20, Is6: true, To: pfx("fd00::/16"), In: "lo", Action: unix.FR_ACT_BLACKHOLE}),
		add(RuleConfig{Priority: 30, Not: true, Out: "none", Mark: 7, MarkMask: 0xff, TOS: 8, Table: 1 << 31,
			Action: unix.FR_ACT_TO_TBL, HasSuppressLength: true, SuppressGroup: 3, HasSuppressGroup: true}),
		add(RuleConfig{Priority: 40, IPProto: unix.IPPROTO_UDP, SrcPorts: [2]uint16{5, 6}, DstPorts: [2]uint16{53, 53},
			HasUIDs: true, UIDs: [2]uint32{0, 100000}, Action: unix.FR_ACT_GOTO, Goto: 50}),
		add(RuleConfig{Priority: 50, Is6: true, Action: unix.FR_ACT_UNREACHABLE, Mark: 1, MarkMask: 1<<32 - 1}),
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
			if r.Flags = 0; r.Protocol == 118 {
				some = append(some, r)
			}
		}
		return some
	}
	is6 := func(r Rule) bool { return r.Is6 }
	want4 := slices.DeleteFunc(slices.Clone(want), is6)
	if got := ours(unix.AF_INET); !slices.Equal(got, want4) {
		t.Errorf("IPv4: got %+v, want %+v", got, want4)
	}
	if all := ours(0); len(all) != len(want) || slices.ContainsFunc(ours(unix.AF_INET6), func(r Rule) bool { return !r.Is6 }) {
		t.Errorf("all rules: %v", all)
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
	r := Rule{HasPriority: true, RuleConfig: RuleConfig{Priority: 5, Is6: true}}
	if err := c.Do(AddRule(r), DeleteRule(r)); err != nil {
		t.Fatal(err)
	}
	for _, deleted := range []bool{false, true} {
		e, err := w.Next(ctx)
		if got, ok := e.Object.(Rule); err != nil || !ok || got.Priority != 5 || e.Deleted != deleted {
			t.Errorf("event %+v, %v", e, err)
		}
	}
}
