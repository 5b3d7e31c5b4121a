package words

import (
	"math/bits"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// neighVerbs are in the order in which ip(8) matches abbreviations.
var neighVerbs = []string{"add", "change", "chg", "replace", "delete", "get", "show", "lst", "list", "flush", "help"}

// NeighVerbs returns the commands for neighbours.
func NeighVerbs() []string {
	return []string{"show", "add", "replace", "change", "del", "get", "flush", "help"}
}

// NeighVerb takes the command after "neigh"; the default is show.
func (w *Words) NeighVerb() string {
	if !w.More() {
		return "show"
	}
	word := w.Next()
	at := slices.IndexFunc(neighVerbs, func(v string) bool { return Short(word, v) })
	if at < 0 {
		if w.Err == nil {
			w.Err = Unknown("neighbour command", word, NeighVerbs())
		}
		return ""
	}
	switch neighVerbs[at] {
	case "list", "lst":
		return "show"
	case "chg":
		return "change"
	}
	return neighVerbs[at]
}

// A NeighChange is a neighbour to add, change, delete or look up. Dev is the link's name; Neigh.Link is not set.
type NeighChange struct {
	Neigh rtnl.Neigh
	Dev   string
	Help  bool
}

// neighStates are ip(8)'s names of NUD_ states. Those with short can be abbreviated.
var neighStates = []struct {
	name  string
	short bool
	state uint16
}{
	{"permanent", true, unix.NUD_PERMANENT}, {"reachable", true, unix.NUD_REACHABLE}, {"noarp", false, unix.NUD_NOARP},
	{"none", false, 0}, {"stale", false, unix.NUD_STALE}, {"incomplete", false, unix.NUD_INCOMPLETE},
	{"delay", false, unix.NUD_DELAY}, {"probe", false, unix.NUD_PROBE}, {"failed", true, unix.NUD_FAILED},
}

func neighState(word string) (uint16, bool) {
	for _, s := range neighStates {
		if word == s.name || s.short && Short(word, s.name) {
			return s.state, true
		}
	}
	n, ok := Number(word, 0xff)
	return uint16(n), ok && bits.OnesCount64(n) <= 1
}

func (w *Words) failState(word string) {
	var all []string
	for _, s := range neighStates {
		all = append(all, s.name)
	}
	if w.Err == nil {
		w.Err = Unknown("state", word, all)
	}
}

// NeighChange parses the words after neigh add, change, replace, delete or get.
func (w *Words) NeighChange(verb string, family int) NeighChange {
	c := NeighChange{Neigh: rtnl.Neigh{State: unix.NUD_PERMANENT}}
	for w.More() && !c.Help {
		switch word := w.Next(); {
		case Short(word, "proxy"): // before protocol: "pr" means proxy
			c.readAddr(w, w.Value(word), family)
			c.Neigh.Flags |= unix.NTF_PROXY
		case verb != "get" && c.readProperty(w, word):
		case word == "dev":
			c.Dev = w.Value(word)
		case word == "to":
			c.readAddr(w, w.Value(word), family)
		case Short(word, "help"):
			c.Help = true
		default:
			c.readAddr(w, word, family)
			w.suggest(word, neighWords)
		}
	}
	if w.Err == nil && !c.Help && (c.Dev == "" || !c.Neigh.Addr.IsValid()) {
		status := 0
		if verb == "get" {
			status = 1
		}
		w.Err = &Error{Text: "an address and a link (dev) are required", Hint: "vnet neigh " + verb + " ADDRESS dev LINK",
			Status: status}
	}
	if c.Neigh.Proxy() {
		c.Neigh.State = 0
	}
	return c
}

// neighWords are the keywords that are allowed where an address is allowed.
var neighWords = []string{"lladdr", "nud", "proxy", "router", "managed", "use", "extern_learn", "dev", "protocol", "to"}

// readProperty parses a property other than address and link. It returns false if word is not a property.
func (c *NeighChange) readProperty(w *Words, word string) bool {
	switch {
	case Short(word, "lladdr"):
		c.readLLAddr(w, w.Value(word))
	case word == "nud":
		value := w.Value(word)
		state, ok := neighState(value)
		if !ok {
			w.failState(value)
		}
		c.Neigh.State, c.Neigh.NoState = state, state == 0
	case word == "router":
		c.Neigh.Flags |= unix.NTF_ROUTER
	case word == "managed":
		c.Neigh.FlagsExt |= 1                    // NTF_EXT_MANAGED
		c.Neigh.State, c.Neigh.NoState = 0, true // the kernel resolves the address
	case word == "use":
		c.Neigh.Flags |= unix.NTF_USE
	case Short(word, "extern_learn"):
		c.Neigh.Flags |= unix.NTF_EXT_LEARNED
	case Short(word, "protocol"):
		c.readProtocol(w, w.Value(word))
	default:
		return false
	}
	return true
}

func (c *NeighChange) readLLAddr(w *Words, word string) {
	if w.Err != nil || word == "null" {
		return
	}
	a, err := parseLLAddr(word)
	if err != nil {
		w.Err = &Error{Text: err.Error(), Status: 1}
	}
	c.Neigh.LLAddr = a
}

func (c *NeighChange) readAddr(w *Words, word string, family int) {
	if w.Err != nil {
		return
	}
	if c.Neigh.Addr.IsValid() {
		w.Unexpected(word, []string{"dev", "lladdr", "nud", "proxy", "router", "use", "extern_learn", "protocol", "to"})
		return
	}
	a, ok := ParseAddr(word, family)
	if !ok {
		w.failAddr(family, "address", word)
		if e, ok := w.Err.(*Error); ok && family == unix.AF_PACKET {
			e.Status, e.Exits = 2, false // in ip(8), the kernel refuses the family
		}
	}
	c.Neigh.Addr = a
}

func (c *NeighChange) readProtocol(w *Words, word string) {
	n, ok := names.RouteProtocols.Number(word)
	if !ok {
		w.Fail("protocol %q is unknown", word)
	}
	c.Neigh.Protocol = uint8(n)
}

// A NeighSelection selects neighbours to show or to flush.
type NeighSelection struct {
	Family int
	// Dev is the name of the link, Master the name of the link's master; "" is any.
	Dev, Master string
	VRF         bool
	NoMaster    bool
	// To is the prefix that contains the addresses; zero is any.
	To netip.Prefix
	// States is a mask of NUD_ states; None also selects neighbours without a state.
	States uint16
	None   bool
	// Unused selects neighbours without references.
	Unused bool
	// Proxy selects proxy entries: the addresses for which this machine answers.
	Proxy bool
	// Protocol is the origin of the entries, if HasProtocol.
	Protocol    uint8
	HasProtocol bool
	Help        bool
}

// NeighSelection parses the words after neigh show or flush.
func (w *Words) NeighSelection(family int, flush bool) NeighSelection {
	s := NeighSelection{Family: family, States: 0xff &^ unix.NUD_NOARP}
	if flush {
		s.States = 0xff &^ (unix.NUD_PERMANENT | unix.NUD_NOARP)
		s.None = true
	}
	given := false
	for w.More() && !s.Help {
		switch word := w.Next(); {
		case word == "dev":
			if s.Dev != "" {
				w.Fail(`"dev" is given twice`)
			}
			s.Dev = w.Value(word)
		case word == "master":
			s.Master, s.VRF = w.Value(word), false
		case word == "vrf":
			s.Master, s.VRF = w.Value(word), true
		case word == "nomaster":
			s.NoMaster = true
		case word == "unused":
			s.Unused = true
		case word == "nud":
			if !given {
				s.States, s.None, given = 0, false, true
			}
			s.readState(w, w.Value(word), flush)
		case word == "proxy":
			s.Proxy = true
		case Short(word, "protocol"):
			value := w.Value(word)
			n, ok := names.RouteProtocols.Number(value)
			if !ok && value != "all" {
				w.Fail("protocol %q is unknown", value)
			}
			s.Protocol, s.HasProtocol = uint8(n), value != "all"
		case word == "to":
			s.readTo(w, w.Value(word))
		case Short(word, "help"):
			s.Help = true
		default:
			s.readTo(w, word)
		}
	}
	if flush {
		s.States &^= unix.NUD_FAILED
	}
	return s
}

func (s *NeighSelection) readState(w *Words, word string, flush bool) {
	state, ok := neighState(word)
	switch {
	case word == "all":
		s.States, s.None = 0xff, true
		if flush {
			s.States &^= unix.NUD_NOARP
		}
	case !ok:
		w.failState(word)
	case state == 0:
		s.None = true
	default:
		s.States |= state
	}
}

func (s *NeighSelection) readTo(w *Words, word string) {
	if w.Err != nil {
		return
	}
	p, ok := parsePrefix(word, s.Family)
	if !ok {
		w.failAddr(s.Family, "prefix", word)
		return
	}
	if p.IsValid() {
		s.To = p.Prefix
	}
	if s.Family == 0 {
		s.Family = p.Family
	}
}

// Matches reports whether a neighbour is selected, except for its link and master.
func (s NeighSelection) Matches(n rtnl.Neigh) bool {
	switch {
	case s.Family == unix.AF_INET && n.Addr.Is6(), s.Family == unix.AF_INET6 && n.Addr.Is4(),
		s.To.IsValid() && !s.To.Contains(n.Addr),
		s.Unused && n.Cache.References != 0,
		s.HasProtocol && n.Protocol != s.Protocol,
		n.State&s.States == 0 && n.Flags&(unix.NTF_PROXY|unix.NTF_EXT_LEARNED) == 0 && (n.State != 0 || !s.None):
		return false
	}
	return true
}
