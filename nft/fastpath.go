package nft

import (
	"errors"
	"fmt"
)

// Fastpath lets established connections past the rules. Once a connection of TCP or
// UDP that is forwarded between two links which both have a Fastpath is established, its
// packets go from the one to the other as soon as they come in: no routing, no rule and
// no counter sees them. The kernel calls this a flowtable; what it cannot treat so
// (fragments, the end of a connection, an MTU that is exceeded) goes the usual way.
//
// Every other change of the table begins the fast connections anew, so that none goes on
// by rules that are no more. Of other tables' rules that come later the kernel knows
// nothing: fast connections pass them by.
//
// Where one of the links is a switch (a bridge), the switch's ports need a Fastpath too, with
// Port: packets come in by them, and newer kernels leave to the rules what could not go
// straight to one.
//
// When a link is deleted, the kernel takes its Fastpath away (before Linux 6.16), and so
// it does not come back with a link of the same name.
type Fastpath struct {
	Device string // the name of a link that exists
	Port   bool   // it is a port of a switch that has one: nothing is forwarded by it itself
}

// String prints the rule in nft's words: iifname "v-net-0" flow add @fastpath. That of a
// port is a device of the flowtable alone: flowtable fastpath { devices = { "port" } }.
func (f Fastpath) String() string {
	if f.Port {
		return fmt.Sprintf("flowtable %s { devices = { %q } }", flowtable, f.Device)
	}
	return fmt.Sprintf("iifname %q flow add @%s", f.Device, flowtable)
}

// Check says what is wrong with the rule, or nil.
func (f Fastpath) Check() error {
	err := checkDevice(f.Device)
	switch {
	case err != nil:
	case f.Device == "":
		err = errors.New("no device is given")
	case f.Device == "lo":
		err = errors.New("nothing is forwarded by lo")
	}
	return invalid(f, err)
}

func (f Fastpath) elements() []element {
	e := element{set: flowtable, key: encodeName(f.Device)}
	if f.Port {
		e.comment = portDevice
	}
	return []element{e}
}

// MaxFastpaths is how many a table can have: the kernel lists a flowtable in one message of
// less than 32 KiB, and says nothing of one that is larger.
const MaxFastpaths = 1500

// tooMany is the reason why one cannot be added to the rules, if there is one.
func (f Fastpath) tooMany(rules map[Rule]bool) error {
	n := 0
	for r := range rules {
		if _, ok := r.(Fastpath); ok {
			n++
		}
	}
	if n < MaxFastpaths {
		return nil
	}
	return &Error{Op: "add", Object: f.String(), Err: fmt.Errorf("there are %d already, and no more can be listed", n)}
}

// portDevice stands in the comment, which devices of flowtables do not have in the
// kernel, of those that are not in fastLinks.
const portDevice = "port"

// fastpathOf reads a device of the flowtable.
func fastpathOf(e element, _ set) (Rule, error) {
	return Fastpath{decodeName(e.key), e.comment == portDevice}, nil
}

// markPorts tells the ports among the devices that were read.
func (c content) markPorts() {
	var ports []element
	for e := range c.elements {
		if _, link := c.elements[element{set: fastLinks, key: e.key}]; e.set == flowtable && !link {
			ports = append(ports, e)
		}
	}
	for _, e := range ports {
		delete(c.elements, e)
		e.comment = portDevice
		c.elements[e] = count{}
	}
}

// The flowtable, the set of its devices (rules cannot ask a flowtable), and the set of
// each beside itself: what a switch passes on between its ports is not forwarded,
// even where the machine filters it.
const (
	flowtable     = "fastpath"
	fastLinks     = "fastpath_links"
	fastSwitching = "fastpath_switching"
)

// fastSets are what a Fastpath needs. The kernel calls a flowtable no set; here it is
// one, of devices, that has its own messages and words.
func fastSets() []set {
	return []set{
		{name: fastLinks, key: []*field{ifname}},
		{name: fastSwitching, key: []*field{ifname, ifname}},
		{name: flowtable, key: []*field{ifname}, flowtable: true, rule: fastpathOf},
	}
}

// ofFastpath tells the sets of fastSets.
func (s set) ofFastpath() bool {
	return s.flowtable || s.name == fastLinks || s.name == fastSwitching
}

// helpers are the elements of the other two sets.
func (f Fastpath) helpers() []element {
	if f.Port {
		return nil
	}
	name := encodeName(f.Device)
	return []element{{set: fastLinks, key: name}, {set: fastSwitching, key: name + name}}
}

// fastRules come behind those that filter, so that nothing becomes fast that would have
// been dropped. What the kernel cannot treat so, it passes over.
func fastRules(has map[string]bool) []rule {
	if !has[flowtable] {
		return nil
	}
	return []rule{
		{in(fastSwitching, iif, oif), {verb: back}},
		{in(fastLinks, iif), in(fastLinks, oif), {verb: offload, name: flowtable}},
	}
}

// restarts tells whether the flowtable has to be replaced: the kernel forgets fast
// connections only with it. It stays if nothing changes but that devices come.
func restarts(have content, want map[element]bool) bool {
	if !have.sets[flowtable] {
		return false
	}
	sets := setsByName()
	for e := range have.elements {
		if s := sets[e.set]; !want[e] && !s.dynamic {
			return true
		}
	}
	for e := range want {
		if _, there := have.elements[e]; !there && !sets[e.set].ofFastpath() {
			return true
		}
	}
	return false
}

// restart replaces the flowtable that stays.
func (c *change) restart(have *content, s set) {
	c.deleteSets, c.createSets = append(c.deleteSets, s), append(c.createSets, s)
	kept := make(map[element]count, len(have.elements))
	for e, n := range have.elements {
		if e.set != s.name {
			kept[e] = n
		}
	}
	have.elements = kept
}
