package words

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/internal/iprule"
	"github.com/vnet-lab/vnet/rtnl"
)

// ruleVerbs are in the order in which ip(8) matches abbreviations.
var ruleVerbs = []string{"list", "lst", "show", "add", "delete", "flush", "help"}

// RuleVerbs returns the commands for rules.
func RuleVerbs() []string { return []string{"show", "add", "del", "flush", "help"} }

// RuleVerb takes the command after "rule"; the default is show.
func (w *Words) RuleVerb() string {
	if !w.More() {
		return "show"
	}
	word := w.Next()
	at := slices.IndexFunc(ruleVerbs, func(v string) bool { return Short(word, v) })
	switch {
	case at < 0:
		w.Err = Unknown("rule command", word, RuleVerbs())
		return ""
	case at < 2:
		return "show"
	}
	return ruleVerbs[at]
}

// A RuleSelection selects rules to show or to flush.
type RuleSelection struct {
	iprule.Rule
	Help bool
}

// RuleChange parses the words after rule add and rule delete. help reports whether they ask for help.
func (w *Words) RuleChange(family int) (r rtnl.Rule, help bool) {
	rule, help := w.rule(family, false)
	rule.Is6 = family == unix.AF_INET6
	_, vrf := rule.Values[iprule.L3MDev]
	if rule.Values[iprule.Table] != 0 && vrf && w.Err == nil {
		w.Err = &Error{Text: "l3mdev looks packets up in the table of their VRF: a table cannot be given", Status: 22}
	}
	return rtnl.Rule(rule), help
}

// RuleSelection parses the words after rule show and rule flush. family is that of the rules.
func (w *Words) RuleSelection(family int) RuleSelection {
	rule, help := w.rule(family, true)
	return RuleSelection{rule, help}
}

func (w *Words) rule(family int, list bool) (r iprule.Rule, help bool) {
	if w.Err != nil {
		return r, false
	}
	r, err := iprule.Parser{
		List: list, Number: ruleNumber,
		Prefix: func(word string) (netip.Prefix, bool) {
			p, ok := parsePrefix(word, family)
			return p.Prefix, ok
		},
	}.Rule(w.Rest())
	switch {
	case err == nil:
	case err.Help:
		return r, true
	case err.Prefix:
		w.failAddr(family, "prefix", err.Word)
	default:
		w.Err = Errorf("%s", err.Text)
		w.suggest(err.Word, err.Known)
	}
	return r, false
}

// ruleTables are the tables of names of the numbers in a rule.
var ruleTables = map[uint16]*names.Table{
	iprule.Table: names.RouteTables, iprule.Protocol: names.RouteProtocols, iprule.SuppressGroup: names.Groups,
	iprule.TOS: names.DSFields, iprule.IPProto: names.IPProtocols,
}

// ruleNumber parses a number in a rule, or its name.
func ruleNumber(attr uint16, word string) (uint64, bool) {
	switch attr {
	case iprule.Action:
		if Short(word, "nop") {
			return unix.FR_ACT_NOP, true
		}
		typ, ok := routeType(word)
		return uint64(typ), ok
	case iprule.Realms:
		w := Of([]string{word})
		realms := w.realms("realms")
		return uint64(realms), w.Err == nil
	case iprule.Protocol:
		if word == "all" {
			return allProtocols, true
		}
	case iprule.DSCP:
		if n, ok := names.DSFields.Number(word); ok && !isNumber(word) {
			return uint64(n) >> 2, true
		}
	case iprule.IPProto:
		if n, ok := ipProtocols[word]; ok {
			return uint64(n), true
		}
	}
	if table := ruleTables[attr]; table != nil {
		n, ok := table.Number(word)
		return uint64(n), ok
	}
	return iprule.ParseNumber(attr, word)
}

// allProtocols selects rules of any protocol to flush.
const allProtocols = 1 << 8

func isNumber(word string) bool {
	_, ok := Number(word, 1<<32-1)
	return ok
}

// Matches reports whether a rule is selected. The protocol counts only for flush.
func (s RuleSelection) Matches(r rtnl.Rule, flush bool) bool {
	switch {
	case s.Not && !r.Not, s.TOS != 0 && r.TOS != s.TOS, s.In != "" && r.In != s.In, s.Out != "" && r.Out != s.Out,
		!within(r.From, s.From), !within(r.To, s.To):
		return false
	}
	for attr, n := range s.Values {
		has := r.Values[attr]
		switch {
		case attr == iprule.Protocol && (!flush || n == allProtocols):
		case n == 0 && (attr == unix.FRA_FWMARK || attr == unix.FRA_FWMASK || attr == iprule.Table || attr == iprule.IPProto):
		case has != n:
			return false
		}
	}
	return true
}

// within reports whether all addresses of a rule are in a prefix; a prefix of length 0 contains all.
func within(of, p netip.Prefix) bool {
	return p.Bits() <= 0 || of.Bits() >= p.Bits() && p.Masked().Contains(of.Addr())
}
