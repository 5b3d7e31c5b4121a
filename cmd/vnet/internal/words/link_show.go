package words

import (
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A LinkSelection is which links to show. Zero fields fit all.
type LinkSelection struct {
	// Dev is one link; "" is all.
	Dev string
	// Up wants those that are up.
	Up bool
	// Group is those of a group.
	Group *uint32
	// Master is the link that they are ports of; VRF says that it has to be one.
	Master string
	VRF    bool
	// NoMaster wants those that are no ports.
	NoMaster bool
	// Kind is what they are, PortKind what kind of ports: "bridge_slave".
	Kind, PortKind string
	// Help says that help was asked for instead.
	Help bool
}

// LinkSelection reads what follows link show.
func (w *Words) LinkSelection() LinkSelection {
	var s LinkSelection
	for w.More() && !s.Help {
		word := w.Next()
		if !s.read(w, word) {
			s.dev(w, word)
		}
	}
	return s
}

func (s *LinkSelection) read(w *Words, word string) bool {
	switch word {
	case "up":
		s.Up = true
	case "group":
		name := w.Value(word)
		group, ok := names.Groups.Number(name)
		if !ok {
			w.Fail("group %q is unknown", name)
		}
		s.Group = &group
	case "master":
		s.Master, s.VRF = w.Value(word), false
	case "vrf":
		s.Master, s.VRF = w.Value(word), true
	case "nomaster":
		s.NoMaster = true
	case "type":
		if kind := w.Value(word); strings.HasSuffix(kind, "_slave") {
			s.PortKind = kind
		} else {
			s.Kind = kind
		}
	default:
		return false
	}
	return true
}

func (s *LinkSelection) dev(w *Words, word string) {
	if word == "dev" {
		word = w.Value(word)
	} else if Short(word, "help") {
		s.Help = true
		return
	}
	if s.Dev != "" {
		w.Surplus(word, []string{"up", "group", "master", "vrf", "nomaster", "type", "dev"})
	}
	if s.Dev = word; word == "" && w.Err == nil {
		w.Err = &Error{Text: "a link's name cannot be empty", Status: 1}
	}
}

// Fits says whether a link is selected, but for its name. Master is the index of
// that link.
func (s LinkSelection) Fits(l rtnl.Link, master uint32) bool {
	switch {
	case s.Up && !l.Up(),
		s.Group != nil && l.Group != *s.Group,
		master != 0 && l.Master != master,
		s.NoMaster && l.Master != 0,
		s.Kind != "" && l.Kind.Name != s.Kind,
		s.PortKind != "" && l.PortKind != s.PortKind:
		return false
	}
	return true
}

// A LinkProperty is what link property does: names to add or to take away.
type LinkProperty struct {
	Delete   bool
	Dev      string
	AltNames []string
	Help     bool
}

// altName takes a further name. The kernel would take any; ip(8) could not.
func (w *Words) altName(keyword string) string {
	name := w.Value(keyword)
	if name == "" || strings.ContainsAny(name, "/ \t\n\v\f\r\x00") {
		w.Fail("%q is not a further name for a link", name)
	}
	return name
}

// LinkProperty reads what follows link property.
func (w *Words) LinkProperty() LinkProperty {
	var p LinkProperty
	switch verb := w.Next(); {
	case Short(verb, "add"):
	case Short(verb, "del"), Short(verb, "delete"):
		p.Delete = true
	case Short(verb, "help"):
		p.Help = true
		return p
	default:
		w.Err = Unknown("property command", verb, []string{"add", "del", "help"})
	}
	for w.More() {
		switch word := w.Next(); word {
		case "dev":
			p.Dev = w.Value(word)
		case "altname":
			p.AltNames = append(p.AltNames, w.altName(word))
		default:
			if p.Dev != "" {
				w.Fail("%q is not known here: dev NAME altname NAME", word)
			}
			p.Dev = word
		}
	}
	if p.Dev == "" {
		w.Fail(`which link? "dev" is missing`)
	}
	return p
}
