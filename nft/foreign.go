package nft

import "errors"

// Foreign is an element that somebody else put into a set of the table, and that is
// none of the rules that this package makes: a range of addresses that is no prefix,
// a catch-all. [Conn.Read] returns it; it stays as long as the table has a rule, and
// goes with it. It cannot be added or deleted.
type Foreign struct{ element element }

// String is nft's: element masquerade4 { 10.0.0.5-10.0.0.9 }.
func (f Foreign) String() string {
	return "element " + f.element.set + " { " + f.element.text(setsByName()[f.element.set]) + " }"
}

// Check says that it is none of ours.
func (f Foreign) Check() error {
	return invalid(f, errors.New("it is no rule of ours; nft add element and delete element are for such"))
}

func (f Foreign) elements() []element { return []element{f.element} }

func isForeign(r Rule) bool {
	_, ok := r.(Foreign)
	return ok
}

// ruleOf is the rule that an element of s is of.
func (s set) ruleOf(e element) Rule {
	if e.key == "" {
		return Foreign{e}
	}
	r, err := s.rule(e, s)
	if err != nil || r.Check() != nil || !has(r, e) {
		return Foreign{e}
	}
	return r
}

// has says that the element is one of the rule's, whatever its comment.
func has(r Rule, e element) bool {
	var ours element
	if f, ok := r.(Forward); ok {
		ours = f.element(decodePort(e.key[len(e.key)-4:]))
	} else {
		ours = r.elements()[0]
	}
	return ours.place() == e.place() && ours.data == e.data
}
