package topo

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A Step is one change: of nothing into Want (creating it), of Have into nothing
// (deleting it), or of Have into Want, which then have the same key.
type Step struct {
	Have, Want Object
}

// An Op is a step's direction. Its text is the sign that plans are printed with.
type Op string

// The directions.
const (
	Create Op = "+"
	Change Op = "~"
	Delete Op = "-"
)

// Op is the direction.
func (s Step) Op() Op {
	switch {
	case s.Have == nil:
		return Create
	case s.Want == nil:
		return Delete
	}
	return Change
}

// Object is what the step is about: what will be, or else what was.
func (s Step) Object() Object {
	if s.Want != nil {
		return s.Want
	}
	return s.Have
}

// Reverse undoes the step.
func (s Step) Reverse() Step { return Step{Have: s.Want, Want: s.Have} }

// String is a line without its end: "+ red: addr 192.168.15.2/24 dev eth0". That
// of a change ends with what it was.
func (s Step) String() string {
	text := string(s.Op()) + " " + s.Object().String()
	if s.Op() == Change {
		text += " (was " + differs(s.Have.String(), s.Want.String()) + ")"
	}
	return Shown(text)
}

// differs is what of the old text is not in the new one, from its first word that
// differs to the last.
func differs(old, next string) string {
	a, b := strings.Fields(old), strings.Fields(next)
	for len(a) > 1 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 1 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return strings.Join(a, " ")
}

// A Plan is what to do, in this order. The zero value is nothing.
type Plan []Step

// Reverse undoes the plan, from its end.
func (p Plan) Reverse() Plan {
	back := make(Plan, 0, len(p))
	for _, s := range slices.Backward(p) {
		back = append(back, s.Reverse())
	}
	return back
}

// Stages cuts the plan into runs of steps of one direction, and of one kind or of
// kinds that need nothing of other namespaces, and files. A stage goes to the kernel together,
// and is whole or not at all.
func (p Plan) Stages() []Plan {
	return p.runs(func(a, b Step) bool {
		first, then := a.Object().Key().Kind, b.Object().Key().Kind
		if a.Op() == Delete {
			first, then = then, first
		}
		return a.Op() == b.Op() && (first == then || onLinks[first] && (onLinks[then] || then == OfFile))
	})
}

// onLinks are the kinds that stand on a namespace's links, and that the namespace's
// socket makes in one system call. Files, which come behind them, are written meanwhile.
var onLinks = map[Kind]bool{OfQuiet: true, OfUp: true, OfAddress: true, OfNeigh: true, OfRoute: true}

// filesIn are the files of a stage, which stand together: at its end, or, where they are taken
// away, at its beginning.
func filesIn(stage []Step) (from, to int) {
	if from = slices.IndexFunc(stage, isFile); from < 0 {
		return len(stage), len(stage)
	}
	for to = from; to < len(stage) && isFile(stage[to]); to++ {
	}
	return from, to
}

func isFile(s Step) bool { return s.Object().Key().Kind == OfFile }

// runs cuts the plan where two neighbours do not go together.
func (p Plan) runs(together func(a, b Step) bool) []Plan {
	var runs []Plan
	for from := 0; from < len(p); {
		to := from + 1
		for to < len(p) && together(p[to-1], p[to]) {
			to++
		}
		runs = append(runs, p[from:to])
		from = to
	}
	return runs
}

// brief is a plan that takes a lab down, without what goes at the same moment as what
// it stands on: addresses with their link, settings with their namespace. To take
// down a thousand links one by one, only to delete them then, would have the kernel
// wait a thousand times until nobody uses one. Links go with their namespaces if they are
// in no other one, and none of those is held: where a program of somebody else's is in
// one, the namespace goes on without its name.
func (p Plan) brief(held func(ns string) bool) Plan {
	gone, going := map[Key]bool{}, map[string]bool{}
	for _, s := range p {
		if s.Op() != Delete {
			continue
		}
		switch o := s.Have.(type) {
		case Namespace:
			if o.From == "" {
				going[o.Name] = !held(o.Name)
			}
		case linked:
			for _, l := range o.links() {
				gone[l.Key()] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(p), func(s Step) bool {
		return s.Op() == Delete && (goesWith(s.Have, gone, going) || liesIn(s.Have, going))
	})
}

// liesIn tells whether all of a link is in namespaces that go and are not held, and what it
// stands on.
func liesIn(o Object, going map[string]bool) bool {
	link, ok := o.(linked)
	if !ok {
		return false
	}
	if parent := parentOf(o); parent != (Key{}) && !going[parent.NS] {
		return false
	}
	return !slices.ContainsFunc(link.links(), func(l Link) bool { return !going[l.NS] })
}

// goesWith tells whether an object goes by itself with a link or a namespace.
func goesWith(o Object, gone map[Key]bool, going map[string]bool) bool {
	var link string
	switch x := o.(type) {
	case Quiet:
		link = x.Link
	case Up:
		link = x.Link
	case Address:
		link = x.Link
	case Neigh:
		link = x.Link
	case Qdisc:
		link = x.Link
	case BridgeVLAN:
		link = x.Link
	default:
		if k := o.Key().Kind; k != OfRoute && k != OfNAT && k != OfSysctl {
			return false
		}
	}
	ns := o.Key().NS
	_, whole := going[ns]
	return whole || gone[Key{OfLink, ns, link}]
}

// String is a line a step.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// Count tells how many steps create, change and delete.
func (p Plan) Count() (created, changed, deleted int) {
	for _, s := range p {
		switch s.Op() {
		case Create:
			created++
		case Change:
			changed++
		case Delete:
			deleted++
		}
	}
	return created, changed, deleted
}

// jsonStep is a step for tools.
type jsonStep struct {
	Op   string `json:"op"` // create, change, delete
	Kind Kind   `json:"kind"`
	NS   string `json:"namespace,omitempty"` // absent for the machine's
	Text string `json:"text"`
	Have Object `json:"have,omitempty"`
	Want Object `json:"want,omitempty"`
}

var opNames = map[Op]string{Create: "create", Change: "change", Delete: "delete"}

// MarshalJSON gives each step its direction, kind, namespace and text, and its
// objects with all they have. The text of jsonStep's fields is stable.
func (p Plan) MarshalJSON() ([]byte, error) {
	steps := make([]jsonStep, 0, len(p))
	for _, s := range p {
		k := s.Object().Key()
		steps = append(steps, jsonStep{opNames[s.Op()], k.Kind, k.NS, s.Object().String(), s.Have, s.Want})
	}
	return json.Marshal(steps)
}

// JSON is the plan for tools: a list of steps, indented.
func (p Plan) JSON() ([]byte, error) {
	flat, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, flat, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// touches are the namespaces in which a plan may change more than files, and there the links.
type touches struct {
	all   bool                       // everything everywhere
	links map[string]map[string]bool // their names, by namespaces; nil where they may be any
}

// of tells whether a namespace is touched, and which of its links; nil if they may be any.
func (t touches) of(ns string) (links map[string]bool, touched bool) {
	links, touched = t.links[ns]
	return links, touched || t.all
}

// touches tells what the plan may change. A link that changes, or goes, may take along what
// stands on it elsewhere: then that is everything. What is done to a link that was there
// may do something to others, and so may a setting or a program: then those are all of
// its namespace.
func (p Plan) touches() touches {
	t := touches{links: map[string]map[string]bool{}}
	made := map[Key]bool{} // links
	var objects []Object
	for _, s := range p {
		if s.Have != nil && s.Have.Key().Kind == OfLink {
			return touches{all: true}
		}
		for _, o := range []Object{s.Have, s.Want} {
			if o == nil || o.Key().Kind == OfFile {
				continue
			}
			objects = append(objects, o)
			for _, k := range append(o.provides(), o.Key()) {
				t.links[k.NS] = map[string]bool{"lo": true} // which holds what is remembered
				made[k] = k.Kind == OfLink
			}
		}
	}
	for _, o := range objects {
		t.add(o, made)
	}
	return t
}

func (t touches) add(o Object, made map[Key]bool) {
	kind, ns := o.Key().Kind, o.Key().NS
	for _, k := range append(o.provides(), o.needs()...) {
		names := t.links[k.NS]
		if k.Kind != OfLink || names == nil {
			continue
		}
		names[k.Name] = true
		if kind != OfLink && kind != OfRoute && k.Name != "lo" && !made[k] {
			t.links[k.NS] = nil
		}
	}
	if kind == OfSysctl || kind == OfProcess || kind == OfPort {
		t.links[ns] = nil
	}
}
