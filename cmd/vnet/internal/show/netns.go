package show

import (
	"fmt"
	"io"
)

// Netns is a namespace as ip-netns(8) lists it.
type Netns struct {
	Name string `json:"name"`
	// ID is its id in the current namespace; nil is none.
	ID *int `json:"id,omitempty"`
}

// NetnsList prints names with their ids. For a nil list it prints nothing, also in JSON.
func NetnsList(w io.Writer, list []Netns, s Style) error {
	if s.JSON {
		if list == nil {
			return nil
		}
		return JSON(w, list, s.Pretty)
	}
	for _, n := range list {
		line := Name(n.Name)
		if n.ID != nil {
			line += fmt.Sprintf(" (id: %d)", *n.ID)
		}
		if err := printLine(w, line); err != nil {
			return err
		}
	}
	return nil
}

// NSID is an id of a namespace.
type NSID struct {
	// ID is the id in the listed namespace.
	ID int
	// Current is the id in the current namespace; nil if that is the listed namespace.
	Current *int
	// Name is the namespace's name in /run/netns; "" is none.
	Name string
}

// NSIDs prints the ids of namespaces in one namespace.
func NSIDs(w io.Writer, list []NSID, s Style) error {
	all := make([]members, len(list))
	for i, n := range list {
		m := &all[i]
		addNSID(m, "nsid", n.ID)
		if n.Current != nil {
			addNSID(m, "current-nsid", *n.Current)
		}
		if n.Name != "" {
			m.put("name", n.Name, "(iproute2 netns name: "+Name(n.Name)+")")
		}
	}
	return s.list(w, all)
}

// addNSID adds an id. A negative id means unassigned.
func addNSID(m *members, name string, id int) {
	if id < 0 {
		m.addText(name + " unassigned ")
		return
	}
	m.add(name, id, name+" %d ")
}
