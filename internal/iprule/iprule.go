// Package iprule reads and writes rules of policy routing in the words of ip-rule(8). The command `vnet rule`, the lab
// file and the steps of plans have the same words.
package iprule

import (
	"cmp"
	"maps"
	"net/netip"
	"strconv"
	"strings"
)

// Rule is a rule of policy routing. It has the fields of rtnl.Rule, so that each type can be converted into the other.
type Rule struct {
	Is6, Not bool
	From, To netip.Prefix
	In, Out  string
	TOS      uint8
	Action   uint8
	Flags    uint32
	Values   map[uint16]uint64 // by attribute; the value of a range is first | last<<32
}

// Attributes of a rule; FRA_* of <linux/fib_rules.h>.
const (
	to             uint16 = 1
	from           uint16 = 2
	Goto           uint16 = 4
	Priority       uint16 = 6
	mark           uint16 = 10
	Realms         uint16 = 11
	tunnel         uint16 = 12
	SuppressGroup  uint16 = 13
	suppressLength uint16 = 14
	Table          uint16 = 15
	markMask       uint16 = 16
	L3MDev         uint16 = 19
	uids           uint16 = 20
	Protocol       uint16 = 21
	IPProto        uint16 = 22
	srcPorts       uint16 = 23
	dstPorts       uint16 = 24
	DSCP           uint16 = 25
	flowLabel      uint16 = 26
	flowMask       uint16 = 27
	srcPortMask    uint16 = 28
	dstPortMask    uint16 = 29
	dscpMask       uint16 = 30
)

// Values that keywords set and that are not in Values: they are fields of [Rule].
const (
	TOS uint16 = 100 + iota
	Action
	not
	in
	out
)

// Actions of rules; FR_ACT_* of <linux/fib_rules.h>.
const (
	lookup uint8 = 1
	jump   uint8 = 2
	nop    uint8 = 3
)

// mainTable is RT_TABLE_MAIN.
const mainTable = 254

// Canonical removes values that the kernel does not report, and sets its defaults.
func (r *Rule) Canonical() {
	for _, p := range []*netip.Prefix{&r.From, &r.To} {
		if *p = p.Masked(); p.Bits() <= 0 {
			*p = netip.Prefix{}
		}
	}
	r.Flags, r.Values = 0, maps.Clone(r.Values)
	r.Action = cmp.Or(r.Action, lookup)
	if _, vrf := r.Values[L3MDev]; r.Action == lookup && !vrf && r.Values[Table] == 0 {
		r.Values[Table] = mainTable
	}
	_, masked := r.Values[markMask]
	for a, n := range r.Values {
		switch {
		case a == mark && n == 0 && !masked, a == markMask && n == 1<<32-1,
			n == 0 && (a == IPProto || a == tunnel || a == Realms),
			a == uids && n == (1<<32-1)<<32, (a == srcPortMask || a == dstPortMask) && n == 1<<16-1,
			a == dscpMask && n == 1<<6-1, a == Table && n == 0, a == Protocol:
			delete(r.Values, a)
		}
	}
}

// An Item is a part of a rule as ip-rule(8) prints it: a member of the JSON object, if it has a name, and a text, which
// begins with Before.
type Item struct {
	Name         string
	Value        any
	Before, Text string
}

// Names returns the name of a number: of a routing table, a protocol …; attr says which.
type Names func(attr uint16, n uint64) string

// Number is the [Names] of lab files and plans: the names of actions and of the tables default, main and local, and
// otherwise the number itself.
func Number(attr uint16, n uint64) string {
	if attr == Action && n < uint64(len(actions)) && actions[n] != "" {
		return actions[n]
	}
	for name, is := range numbers[attr] {
		if attr == Table && is == n {
			return name
		}
	}
	if attr == TOS {
		return hex(n)
	}
	return strconv.FormatUint(n, 10)
}

// actions are the names of the actions that have no value, by their numbers.
var actions = []string{3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

// String returns the rule in the words of ip-rule(8), without its priority, protocol and IP version.
func (r *Rule) String() string {
	short := *r
	short.Flags = 0
	var b strings.Builder
	for _, i := range short.Items(Number, false) {
		if i.Name == "l3mdev" {
			i.Before = " l3mdev"
		}
		if i.Name != "priority" && i.Name != "protocol" {
			b.WriteString(i.Before + i.Text)
		}
	}
	return b.String()
}

// ReversedRange returns the keyword of a range whose first number is greater than its last; "" if there is none.
func (r *Rule) ReversedRange() string {
	for _, k := range []struct {
		attr uint16
		word string
	}{{uids, "uidrange"}, {srcPorts, "sport"}, {dstPorts, "dport"}} {
		if v := r.Values[k.attr]; v&(1<<32-1) > v>>32 {
			return k.word
		}
	}
	return ""
}

// OnlyFor returns a keyword of the rule that the kernel has for one IP version only, and that version: 4 or 6. The
// keyword is "" if there is none.
func (r *Rule) OnlyFor() (keyword string, version int) {
	if _, has := r.Values[flowLabel]; has {
		return "flowlabel", 6
	}
	if _, has := r.Values[Realms]; has {
		return "realms", 4
	}
	return "", 0
}
