package words

import (
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// A LinkSelection selects links to show. Zero fields match all links.
type LinkSelection struct {
	// Dev is the name of one link; "" is all.
	Dev string
	// Up selects links that are up.
	Up bool
	// Group selects the links of a group; nil is all.
	Group *uint32
	// Master selects the ports of a link. If VRF is set, that link must be a VRF.
	Master string
	VRF    bool
	// NoMaster selects links without a master.
	NoMaster bool
	// Kind is the kind of link, PortKind the kind of port such as "bridge_slave".
	Kind, PortKind string
	// Help reports whether the words ask for help.
	Help bool
}

// LinkSelection parses the words after link show.
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
		w.Unexpected(word, []string{"up", "group", "master", "vrf", "nomaster", "type", "dev"})
	}
	if s.Dev = word; word == "" && w.Err == nil {
		w.Err = &Error{Text: "a link's name cannot be empty", Status: 1}
	}
}

// Matches reports whether a link is selected, except for Dev. master is the index of Master; 0 is none.
func (s LinkSelection) Matches(l rtnl.Link, master uint32) bool {
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

// A LinkProperty holds alternative names to add to a link or to delete.
type LinkProperty struct {
	Delete   bool
	Dev      string
	AltNames []string
	Help     bool
}

// altName takes an alternative name. Like ip(8), it refuses some characters that the kernel allows.
func (w *Words) altName(keyword string) string {
	name := w.Value(keyword)
	if name == "" || strings.ContainsAny(name, "/ \t\n\v\f\r\x00") {
		w.Fail("%q is not a valid alternative name", name)
	}
	return name
}

// LinkProperty parses the words after link property.
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
				w.Fail("%q is unknown: expected dev NAME altname NAME", word)
			}
			p.Dev = word
		}
	}
	if p.Dev == "" {
		w.Fail(`the link is missing: "dev" is required`)
	}
	return p
}
