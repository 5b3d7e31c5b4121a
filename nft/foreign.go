package nft

import "errors"

// Foreign is an element of the table's sets that this package did not make and that is none of its rules: an address
// range that is not a prefix, or a catch-all element. [Conn.Read] returns it. It cannot be added or deleted. It is
// deleted together with the last rule of the table.
type Foreign struct{ element element }

// String returns the element in nft's syntax: element masquerade4 { 10.0.0.5-10.0.0.9 }.
func (f Foreign) String() string {
	return "element " + f.element.set + " { " + f.element.text(setNamed(f.element.set)) + " }"
}

// Check always returns an error.
func (f Foreign) Check() error {
	return invalid(f, errors.New("not made by vnet; use nft add element or nft delete element"))
}

func (f Foreign) elements() []element { return []element{f.element} }

func isForeign(r Rule) bool {
	_, ok := r.(Foreign)
	return ok
}

// decodeRule returns the rule that an element of s belongs to; nil for an auxiliary element.
func (s set) decodeRule(e element) Rule {
	if e.key == "" {
		return Foreign{e}
	}
	r, err := s.decode(e, s)
	if r == nil && err == nil {
		return nil
	}
	if s.allLengths && err == nil && r.Check() == nil {
		e.set = r.elements()[0].set
	}
	if err != nil || r.Check() != nil || !containsElement(r, e) {
		return Foreign{e}
	}
	return r
}

// containsElement reports whether the element is one of the rule's. It ignores the comment.
func containsElement(r Rule, e element) bool {
	var own element
	if f, ok := r.(Forward); ok {
		own = f.element(decodePort(e.key[len(e.key)-4:]))
	} else {
		own = r.elements()[0]
	}
	return own.id() == e.id() && own.data == e.data
}
