package topo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/iprule"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A Rule is a rule of policy routing, which chooses the routing table for a packet. A lab has at most one rule with a
// priority in a namespace, for each IP version. The rules of other programs may have the same priority.
type Rule struct {
	NS       string
	Is6      bool   // for IPv6
	Priority uint32 // the kernel applies low numbers first
	Words    string // the rest, as for ip-rule(8): "from 10.0.0.0/8 lookup 100"
}

// Key implements [Object]: IP version and priority.
func (r Rule) Key() Key {
	family := "inet:"
	if r.Is6 {
		family = "inet6:"
	}
	return Key{OfRule, r.NS, family + strconv.FormatUint(uint64(r.Priority), 10)}
}

// String is "red: rule priority 100 from 10.0.0.0/8 lookup 100".
func (r Rule) String() string {
	family := ""
	if r.Is6 {
		family = "-6 "
	}
	return fmt.Sprintf("%s%srule priority %d %s", display.In(r.NS), family, r.Priority, r.Words)
}

func (r Rule) needs() []Key          { return []Key{{OfNamespace, r.NS, ""}} }
func (r Rule) provides() []Key       { return []Key{r.Key()} }
func (r Rule) canBecome(Object) bool { return false }
func (r Rule) needsIPv6() bool       { return r.Is6 }

// rank puts the rules of IPv6 last, so that a script has all of a version together.
func (r Rule) rank() int {
	if r.Is6 {
		return 1
	}
	return 0
}

func (r Rule) normal() Object {
	if rule, err := iprule.Parse(strings.Fields(r.Words)); err == nil {
		r.Words = rule.String()
	}
	return r
}

// commands returns commands that also write the record of the rule.
func (r Rule) commands(w *scriptWriter, s Step) []command {
	tool := "ip"
	if r.Is6 {
		tool = "ip -6" // ip takes the IP version of a rule only from its options
	}
	words := fmt.Sprintf("rule %s priority %d %s protocol %d", ipVerb(s), r.Priority, r.Words, mark.Protocol)
	rule := command{r.NS, tool, words}
	record := command{r.NS, tool, "link property " + ipVerb(s) + " dev lo altname " + mark.Rule(w.lab, r.Key().Name)}
	if s.Op() == Create {
		return []command{record, rule}
	}
	return []command{rule, record}
}
