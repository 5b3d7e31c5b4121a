package show

import (
	"fmt"
	"io"
)

// Netns is a namespace as ip-netns(8) lists it.
type Netns struct {
	Name string `json:"name"`
	// ID is the number it has in the current namespace; nil is none.
	ID *int `json:"id,omitempty"`
}

// NetnsList prints names, with their numbers where they have one. A nil list is
// none at all: not even an empty list is printed of it.
func NetnsList(w io.Writer, list []Netns, s Style) error {
	if s.JSON {
		if list == nil {
			return nil
		}
		return JSON(w, list, s.Pretty)
	}
	for _, n := range list {
		line := n.Name
		if n.ID != nil {
			line += fmt.Sprintf(" (id: %d)", *n.ID)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// NSID is a number of a namespace.
type NSID struct {
	// ID is the number in the namespace that was asked about.
	ID int
	// Current is the number in the current one; nil if that is the same.
	Current *int
	// Name is what ip-netns(8) calls it; "" is nothing.
	Name string
}

// NSIDs prints the numbers that a namespace has for others.
func NSIDs(w io.Writer, list []NSID, s Style) error {
	all := make([]members, len(list))
	for i, n := range list {
		m := &all[i]
		addNSID(m, "nsid", n.ID)
		if n.Current != nil {
			addNSID(m, "current-nsid", *n.Current)
		}
		if n.Name != "" {
			m.add("name", n.Name, "(iproute2 netns name: %s)")
		}
	}
	if s.JSON {
		return JSON(w, all, s.Pretty)
	}
	for _, m := range all {
		if _, err := fmt.Fprintln(w, m.text()); err != nil {
			return err
		}
	}
	return nil
}

// addNSID tells a number; one below zero is none.
func addNSID(m *members, name string, id int) {
	if id < 0 {
		m.say(name + " unassigned ")
		return
	}
	m.add(name, id, name+" %d ")
}
