package topo

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
)

// A Step is one change: it creates Want (Have is nil), deletes Have (Want is nil), or
// changes Have into Want, which have the same key.
type Step struct {
	Have, Want Object
}

// An Op is what a step does. Its text is the sign in printed plans.
type Op string

// The operations.
const (
	Create Op = "+"
	Change Op = "~"
	Delete Op = "-"
)

// Op returns what the step does.
func (s Step) Op() Op {
	switch {
	case s.Have == nil:
		return Create
	case s.Want == nil:
		return Delete
	}
	return Change
}

// Object returns Want, or Have for a deletion.
func (s Step) Object() Object {
	if s.Want != nil {
		return s.Want
	}
	return s.Have
}

// Reverse returns the step that undoes s.
func (s Step) Reverse() Step { return Step{Have: s.Want, Want: s.Have} }

// String returns a line without a newline: "+ red: addr 192.168.15.2/24 dev eth0". For a
// change, the line ends with the former values, if they differ in the text: two files may have equally many lines.
func (s Step) String() string {
	text := string(s.Op()) + " " + s.Object().String()
	if s.Op() == Change && s.Have.String() != s.Want.String() {
		text += " (was " + display.ChangedWords(s.Have.String(), s.Want.String()) + ")"
	}
	return display.Escape(text)
}

// A Plan is a list of steps in the order of execution. The zero value does nothing.
type Plan []Step

// Reverse returns the plan that undoes p.
func (p Plan) Reverse() Plan {
	back := make(Plan, 0, len(p))
	for _, s := range slices.Backward(p) {
		back = append(back, s.Reverse())
	}
	return back
}

// Stages cuts the plan into stages. The steps of a stage have the same Op. Their objects are of one
// kind, or of the kinds on links (such as addresses and routes) and files. They are sent to the kernel
// together, and either all or none take effect.
func (p Plan) Stages() []Plan {
	return p.runs(func(a, b Step) bool {
		first, then := a.Object().Key().Kind, b.Object().Key().Kind
		if a.Op() == Delete {
			first, then = then, first
		}
		return a.Op() == b.Op() && (first == then || kinds[first].stage == onLinks && kinds[then].stage != ownStage)
	})
}

// Files returns the range of the files in a stage. They are at its end, or at its
// beginning if it deletes them.
func (p Plan) Files() (from, to int) {
	if from = slices.IndexFunc(p, isFile); from < 0 {
		return len(p), len(p)
	}
	for to = from; to < len(p) && isFile(p[to]); to++ {
	}
	return from, to
}

func isFile(s Step) bool { return s.Object().Key().Kind == OfFile }

// runs cuts the plan between two steps that do not belong together.
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

// WithoutImpliedDeletes returns the plan without the deletions that other deletions imply:
// addresses are deleted with their link, settings with their namespace. Without this, each
// link would be set down before it is deleted, and each time the kernel would wait until
// nothing uses the link. A link is also left out if its namespace and those of its peer and
// parent are deleted, and held returns false for all of them. A namespace is held if a foreign
// process runs in it: it then continues to exist without its name.
func (p Plan) WithoutImpliedDeletes(held func(ns string) bool) Plan {
	links, namespaces := map[Key]bool{}, map[string]bool{} // the value of namespaces: not held
	for _, s := range p {
		if s.Op() != Delete {
			continue
		}
		switch o := s.Have.(type) {
		case Namespace:
			if o.From == "" {
				namespaces[o.Name] = !held(o.Name)
			}
		case LinkObject:
			for _, l := range o.Links() {
				links[l.Key()] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(p), func(s Step) bool {
		return s.Op() == Delete && (impliedBy(s.Have, links, namespaces) || isInDeleted(s.Have, namespaces))
	})
}

// isInDeleted reports whether a link, its peer and its parent are all in namespaces that
// are deleted and not held.
func isInDeleted(o Object, namespaces map[string]bool) bool {
	link, ok := o.(LinkObject)
	if !ok {
		return false
	}
	if parent := link.parent(); parent != (Key{}) && !namespaces[parent.NS] {
		return false
	}
	return !slices.ContainsFunc(link.Links(), func(l Link) bool { return !namespaces[l.NS] })
}

// impliedBy reports whether the kernel deletes an object with one of the links or namespaces.
func impliedBy(o Object, links map[Key]bool, namespaces map[string]bool) bool {
	k := o.Key()
	if !kinds[k.Kind].vanishes {
		return false
	}
	if _, deleted := namespaces[k.NS]; deleted {
		return true
	}
	on, ok := o.(onLink)
	return ok && links[on.onLink()]
}

// RulesLast returns the deletions of a plan in another order: NAT rules after all links and before the
// namespaces, so that no rule is deleted before the links that it protects. Only a Fastpath keeps its place
// before its link, because the kernel deletes it with the link.
func (p Plan) RulesLast() Plan {
	var before, rules, after Plan
	for _, s := range p {
		_, fastpath := s.Object().(Fastpath)
		switch k := s.Object().Key().Kind; {
		case k == OfNAT && !fastpath:
			rules = append(rules, s)
		case k == OfNamespace:
			after = append(after, s)
		default:
			before = append(before, s)
		}
	}
	return slices.Concat(before, rules, after)
}

// String returns one line per step.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// Count returns how many steps create, change and delete.
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

// jsonStep is the JSON form of a step.
type jsonStep struct {
	Op   string `json:"op"` // create, change, delete
	Kind Kind   `json:"kind"`
	NS   string `json:"namespace,omitempty"` // absent for the machine's
	Text string `json:"text"`
	Have Object `json:"have,omitempty"`
	Want Object `json:"want,omitempty"`
}

// Name returns create, change or delete.
func (o Op) Name() string {
	return map[Op]string{Create: "create", Change: "change", Delete: "delete"}[o]
}

// MarshalJSON writes a list of steps, each with its operation, kind, namespace, text
// and objects. The names of the fields op, kind, namespace, text, have and want, and
// their values except the objects, are stable.
func (p Plan) MarshalJSON() ([]byte, error) {
	steps := make([]jsonStep, 0, len(p))
	for _, s := range p {
		k := s.Object().Key()
		steps = append(steps, jsonStep{s.Op().Name(), k.Kind, k.NS, s.Object().String(), s.Have, s.Want})
	}
	return json.Marshal(steps)
}

// JSON returns the plan as an indented list of steps.
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
