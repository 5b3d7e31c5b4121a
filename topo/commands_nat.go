package topo

import (
	"github.com/vnet-lab/vnet/internal/mark"
)

// A NATScript returns inputs for nft -f. Package live has one.
type NATScript struct {
	// Rules changes a table from have to want, which are objects of kind OfNAT.
	Rules func(table string, have, want []Object) (string, error)
	// Guard makes the guard's table for one address family; see nft.Guard.
	Guard func(ipv6 bool) string
}

// natCommands saves a step for writeNAT, which writes all changes of a namespace as one input of nft.
// It returns no commands.
func (w *scriptWriter) natCommands(s Step) []command {
	w.natSteps = append(w.natSteps, s)
	return nil
}

// writeNAT writes the steps that natCommands saved.
func (w *scriptWriter) writeNAT() error {
	var order []string
	steps := map[string][]Step{}
	for _, s := range w.natSteps {
		ns := s.Object().Key().NS
		if steps[ns] == nil {
			order = append(order, ns)
		}
		steps[ns] = append(steps[ns], s)
	}
	w.natSteps = nil
	for _, ns := range order {
		have, want := w.natOf(ns, steps[ns])
		text, err := w.natScript.Rules(mark.Table(w.lab), have, want)
		if err != nil {
			return err
		}
		w.line(w.netnsExec(ns, "nft -f - <<'.'").text)
		w.out.WriteString(text)
		w.line(".")
	}
	return nil
}

// natOf returns the NAT objects of a namespace before and after the steps.
func (w *scriptWriter) natOf(ns string, steps []Step) (have, want []Object) {
	before := State{}
	for k, o := range w.state {
		if k.Kind == OfNAT && k.NS == ns {
			before[k] = o
		}
	}
	gone, added := map[Object]bool{}, []Object(nil)
	for _, s := range steps {
		if s.Have == nil {
			delete(before, s.Want.Key()) // see stage
		}
		gone[s.Have] = true
		if s.Want != nil {
			added = append(added, s.Want)
		}
	}
	have = before.Objects()
	for _, o := range have {
		if !gone[o] {
			want = append(want, o)
		}
	}
	return have, append(want, added...)
}
