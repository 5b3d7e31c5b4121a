package main

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/rtnl"
)

// ruleObject is vnet rule.
func ruleObject() *object {
	return &object{
		name: "rule", short: true, usage: "rules of policy routing: which routing table a packet uses", help: ruleHelp,
		verbs: words.RuleVerbs(), run: (*session).rule,
	}
}

const ruleHelp = `
vnet [-6] rule [show] [SELECTOR] [table TABLE]
vnet [-6] rule { add | del } SELECTOR ACTION
vnet [-6] rule flush [SELECTOR] [table TABLE] [protocol PROTO]

SELECTOR := [not] [from PREFIX] [to PREFIX] [iif DEV] [oif DEV] [pref NUMBER]
            [fwmark MARK[/MASK]] [tos TOS] [dscp DSCP[/MASK]] [flowlabel N[/MASK]]
            [ipproto PROTO] [sport N[-N|/MASK]] [dport N[-N|/MASK]]
            [uidrange N-N] [l3mdev] [tun_id N]
ACTION   := { table TABLE | goto NUMBER | nop | blackhole | unreachable | prohibit }
            [suppress_prefixlength N] [suppress_ifgroup GROUP] [realms [FROM/]TO]
            [protocol PROTO]

   vnet rule add from 192.168.15.0/24 table 100
   vnet -6 rule add iif v-net-0 pref 50 prohibit
   vnet -n red rule
`

// rule runs vnet rule.
func (s *session) rule(args []string) error {
	w := words.Of(args)
	switch verb := w.RuleVerb(); verb {
	case "add", "delete":
		return s.ruleChange(verb, w)
	case "show", "flush":
		return s.ruleList(w, verb == "flush")
	case "help":
		return s.usage(ruleHelp)
	}
	return w.Err
}

func (s *session) ruleChange(verb string, w *words.Words) error {
	if !w.More() {
		return &words.Error{Text: "rule " + verb + " needs a rule", Hint: "vnet rule help", Status: exitFailed}
	}
	r, help := w.RuleChange(s.Family)
	switch {
	case w.Err != nil:
		return w.Err
	case help:
		return s.usage(ruleHelp)
	case verb == "add":
		return s.do(rtnl.AddRule(r))
	}
	return s.do(rtnl.DeleteRule(r))
}

// ruleList prints or deletes the selected rules of a family; the default is IPv4.
func (s *session) ruleList(w *words.Words, flush bool) error {
	family := cmp.Or(s.Family, unix.AF_INET)
	sel := w.RuleSelection(family)
	if w.Err != nil {
		return w.Err
	}
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	rules, err := c.Rules(uint8(family))
	if err != nil {
		return err
	}
	rules = slices.DeleteFunc(rules, func(r rtnl.Rule) bool { return !sel.Matches(r, flush) })
	if !flush {
		return show.Rules(s.out, rules, s.style())
	}
	for _, r := range rules {
		if r.Values[unix.FRA_PRIORITY] == 0 { // as in ip(8), the rule for the table local stays
			continue
		}
		if err := s.do(rtnl.DeleteRule(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
