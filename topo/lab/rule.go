package lab

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/iprule"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A StaticRule is a rule of policy routing.
type StaticRule struct {
	// Priority of the rule; the kernel applies low numbers first. 0 means one more than the rule before; the first
	// rule has 100.
	Priority   uint32
	IPv4, IPv6 bool   // it is a rule for this IP version
	Words      string // the rest, as for ip-rule(8)

	at syntax.Pos
}

// firstPriority is the priority of the first rule of a host. The kernel's rule for VRFs, with 1000, comes later.
const firstPriority = 100

var rulesKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) {
		for _, r := range f.Rules {
			h.Rules = append(h.Rules, r.StaticRule)
		}
	},
	check: (*checker).rules,
	compile: func(c *compiler, h *Host) {
		for i, priority := range h.priorities() {
			for _, o := range h.ruleObjects(i, priority) {
				c.put(o)
			}
		}
	},
	export: func(e *exporter, o topo.Object) {
		if r, ok := o.(topo.Rule); ok {
			e.host(r.NS).addRule(r)
		}
	},
	format: func(h *Host, m *syntax.Mapping) { m.List("rules", display.Texts(h.Rules, StaticRule.String)) },
}

// priorities returns the priority of each rule.
func (h *Host) priorities() []uint32 {
	all, next := make([]uint32, len(h.Rules)), uint32(firstPriority)
	for i := range h.Rules {
		if p := h.Rules[i].Priority; p != 0 {
			next = p
		}
		all[i] = next
		next++
	}
	return all
}

// ruleObjects returns the rule with an index, for each of its IP versions.
func (h *Host) ruleObjects(i int, priority uint32) (all []topo.Rule) {
	r := &h.Rules[i]
	for _, is6 := range []bool{false, true} {
		if is6 && r.IPv6 || !is6 && r.IPv4 {
			all = append(all, topo.Rule{NS: topo.NSOf(h.Name), Is6: is6, Priority: priority, Words: r.Words})
		}
	}
	return all
}

// addRule adds a rule of one IP version. With an equal one of the other version, it becomes one rule for both.
func (h *Host) addRule(o topo.Rule) {
	next := uint32(firstPriority)
	for i, priority := range h.priorities() {
		if r := &h.Rules[i]; r.Words == o.Words && priority == o.Priority {
			r.IPv4, r.IPv6 = true, true
			return
		}
		next = priority + 1
	}
	r := StaticRule{Priority: o.Priority, IPv4: !o.Is6, IPv6: o.Is6, Words: o.Words}
	if r.Priority == next {
		r.Priority = 0
	}
	h.Rules = append(h.Rules, r)
}

// rules checks the links, the targets and the priorities of the rules of a host.
func (k *checker) rules(h *Host) {
	seen := map[topo.Key]bool{}
	for i, priority := range h.priorities() {
		r := &h.Rules[i]
		rule, _ := iprule.Parse(strings.Fields(r.Words))
		for _, dev := range []string{rule.In, rule.Out} {
			if dev != "" && len(h.Run) == 0 { // a program may make the link
				k.hasDevice(r.at, h, dev, "rule "+r.Words)
			}
		}
		if target, has := rule.Values[iprule.Goto]; has && target <= uint64(priority) {
			k.mistakef(r.at, "goto", "use a higher priority", "rule %s: goto leads only to rules after its own priority, %d",
				r.Words, priority)
		}
		for _, o := range h.ruleObjects(i, priority) {
			if seen[o.Key()] {
				k.mistakef(r.at, strconv.FormatUint(uint64(priority), 10),
					"use another priority, or none: then it is one more than that of the rule before",
					"%s has two rules with the priority %d", displayName(h.Name), priority)
				break
			}
			seen[o.Key()] = true
		}
	}
}

const ruleForm = `write it as for ip-rule(8): "from 10.0.0.0/8 lookup 100", "iif eth1 prohibit"`

// Read reads a rule.
func (r *fileRule) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, &r.StaticRule, ruleForm, parseRule)
	r.at = syntax.PosOf(n)
}

// parseRule reads a rule with the keywords of ip-rule(8), after -4 or -6 if it is for this IP version only.
func parseRule(s string) (StaticRule, error) {
	words := strings.Fields(s)
	static := StaticRule{IPv4: true, IPv6: true}
	if len(words) > 0 && (words[0] == "-4" || words[0] == "-6") {
		static.IPv4, static.IPv6 = words[0] == "-4", words[0] == "-6"
		words = words[1:]
	}
	number := func(attr uint16, word string) (uint64, bool) {
		n, ok := iprule.ParseNumber(attr, word)
		ecn := attr == iprule.TOS && n&3 != 0 // the kernel refuses it
		return n, ok && (n > 0 || attr != iprule.Priority) && attr != iprule.Protocol /* vnet's own */ && !ecn
	}
	r, err := iprule.Parser{Prefix: prefixOfRule, Number: number}.Rule(words)
	switch _, lookup := r.Values[iprule.Table]; {
	case err != nil:
		if p, ok := iprule.ParsePrefix(err.Word); ok && err.Prefix {
			return static, syntax.Invalid(err.Word, fmt.Sprintf("%q has bits set after the prefix length", err.Word),
				"write "+p.Masked().String())
		}
		hint := spell.DidYouMean(err.Word, err.Known)
		if err.Known == nil || hint == "" {
			hint = ruleForm
		}
		return static, syntax.Invalid(err.Word, err.Text, hint)
	case r.Action == 0 && !lookup && r.Values[iprule.L3MDev] == 0:
		return static, syntax.Invalid(s, fmt.Sprintf("%q does not say what happens to the packets", s), ruleForm)
	}
	for _, p := range []netip.Prefix{r.From, r.To} {
		if p.IsValid() {
			static.IPv4, static.IPv6 = static.IPv4 && p.Addr().Is4(), static.IPv6 && p.Addr().Is6()
		}
	}
	if !static.IPv4 && !static.IPv6 {
		return static, syntax.Invalid(s, fmt.Sprintf("%q has an address of another IP version", s),
			"write one rule for IPv4 and one for IPv6")
	}
	if err := checkRule(&r, static); err != nil {
		return static, err
	}
	r.Canonical()
	static.Priority, static.Words = uint32(r.Values[iprule.Priority]), r.String()
	return static, nil
}

// checkRule returns an error for a rule that no kernel accepts.
func checkRule(r *iprule.Rule, static StaticRule) error {
	if word := r.ReversedRange(); word != "" {
		return syntax.Invalid(word, word+": the first number of the range is greater than the last",
			"write the smaller number first")
	}
	if word, version := r.OnlyFor(); version == 4 && static.IPv6 || version == 6 && static.IPv4 {
		return syntax.Invalid(word, fmt.Sprintf("%s is for IPv%d only", word, version),
			fmt.Sprintf("write -%d before the rule", version))
	}
	return nil
}

// prefixOfRule reads a prefix that has no bits set after its length.
func prefixOfRule(word string) (netip.Prefix, bool) {
	p, ok := iprule.ParsePrefix(word)
	return p, ok && p == p.Masked()
}

// String returns r as written for ip-rule(8).
func (r StaticRule) String() string {
	s := ""
	if rule, _ := iprule.Parse(strings.Fields(r.Words)); r.IPv4 != r.IPv6 && !rule.From.IsValid() && !rule.To.IsValid() {
		s = "-4 "
		if r.IPv6 {
			s = "-6 "
		}
	}
	if r.Priority != 0 {
		s += fmt.Sprintf("priority %d ", r.Priority)
	}
	return s + r.Words
}
