package nft

import (
	"errors"
	"fmt"
)

// Fastpath makes a link a device of the table's flowtable. The kernel offloads a connection of TCP or UDP that is
// forwarded between two such links as soon as it is established: its packets go from one link to the other at the
// ingress hook, and bypass routing, rules and counters. Fragments, packets over the MTU and packets that end a
// connection still take the normal path.
//
// Every other change of the table replaces the flowtable, so that no offloaded connection continues to use deleted
// rules. A later change of other tables has no effect on offloaded connections: they bypass the new rules too.
//
// If a link is a bridge, its ports need a Fastpath too, with Port set: packets arrive on the ports, and newer kernels
// offload only connections whose packets can go directly to a port.
//
// Before Linux 6.16, the kernel deletes the Fastpath together with the link. A new link of the same name does not get
// it back.
type Fastpath struct {
	Device string // the name of a link that exists
	Port   bool   // the device is a port of a bridge that has a Fastpath; the port itself forwards nothing
}

// String returns the rule in nft's syntax: iifname "v-net-0" flow add @fastpath. A port is only a device of the
// flowtable: flowtable fastpath { devices = { "port" } }.
func (f Fastpath) String() string {
	if f.Port {
		return fmt.Sprintf("flowtable %s { devices = { %q } }", flowtable, f.Device)
	}
	return fmt.Sprintf("iifname %q flow add @%s", f.Device, flowtable)
}

// Check returns an error if the rule is invalid.
func (f Fastpath) Check() error {
	err := checkDevice(f.Device)
	switch {
	case err != nil:
	case f.Device == "":
		err = errors.New("expected a device")
	case f.Device == "lo":
		err = errors.New("the kernel forwards no packets by lo")
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

// MaxFastpaths is the maximum number of fast paths of a table: the kernel lists a flowtable in one message of less than
// 32 KiB, and omits a larger one without an error.
const MaxFastpaths = 1500

// checkLimit returns an error if the rules already contain MaxFastpaths fast paths.
func (f Fastpath) checkLimit(rules map[Rule]bool) error {
	n := 0
	for r := range rules {
		if _, ok := r.(Fastpath); ok {
			n++
		}
	}
	if n < MaxFastpaths {
		return nil
	}
	return &Error{Op: "add", Object: f.String(),
		Err: fmt.Errorf("the table already has the maximum of %d fast paths", n)}
}

// portDevice is the comment of flowtable devices that are not in fastLinks. In the kernel, devices have no comments.
const portDevice = "port"

// decodeFastpath decodes a device of the flowtable.
func decodeFastpath(e element, _ set) (Rule, error) {
	return Fastpath{decodeName(e.key), e.comment == portDevice}, nil
}

// markPorts sets the comment portDevice on the ports among the devices.
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

// Names of the flowtable and its sets. fastLinks contains its devices, because rules cannot look up devices in a
// flowtable. fastSwitching contains each device paired with itself. It excludes packets that a bridge passes between
// its ports, which rules see if net.bridge.bridge-nf-call-iptables is on.
const (
	flowtable     = "fastpath"
	fastLinks     = "fastpath_links"
	fastSwitching = "fastpath_switching"
)

// fastpathSets returns the sets for fast paths. Here a flowtable is a set of devices. In the kernel it is an object of
// its own, with its own messages and syntax.
func fastpathSets() []set {
	return []set{
		{name: fastLinks, key: []*field{ifname}},
		{name: fastSwitching, key: []*field{ifname, ifname}},
		{name: flowtable, key: []*field{ifname}, flowtable: true, decode: decodeFastpath},
	}
}

// isFastpathSet reports whether s is one of fastpathSets.
func (s set) isFastpathSet() bool {
	return s.flowtable || s.name == fastLinks || s.name == fastSwitching
}

// helperElements returns the elements of the other two sets.
func (f Fastpath) helperElements() []element {
	if f.Port {
		return nil
	}
	name := encodeName(f.Device)
	return []element{{set: fastLinks, key: name}, {set: fastSwitching, key: name + name}}
}

// fastpathRules returns the rules of the chain fastpath. It runs after the filter rules, so that the kernel does not
// offload dropped connections. Packets that it cannot offload continue to the next rule.
func fastpathRules(sets map[string]bool) []rule {
	if !sets[flowtable] {
		return nil
	}
	return []rule{
		{inSet(fastSwitching, iif, oif), {verb: ret}},
		{inSet(fastLinks, iif), inSet(fastLinks, oif), {verb: offload, name: flowtable}},
	}
}

// needsNewFlowtable reports whether the flowtable must be replaced: the kernel removes offloaded connections only with
// their flowtable. If a change only adds devices, the flowtable stays.
func needsNewFlowtable(have content, want map[element]bool) bool {
	if !have.sets[flowtable] {
		return false
	}
	for e := range have.elements {
		if s := setNamed(e.set); !want[e] && !s.dynamic {
			return true
		}
	}
	for e := range want {
		if _, exists := have.elements[e]; !exists && !setNamed(e.set).isFastpathSet() {
			return true
		}
	}
	return false
}

// replaceFlowtable deletes and creates the flowtable, and marks its devices as missing.
func (c *change) replaceFlowtable(have *content, s set) {
	c.deleteSets, c.createSets = append(c.deleteSets, s), append(c.createSets, s)
	kept := make(map[element]count, len(have.elements))
	for e, n := range have.elements {
		if e.set != s.name {
			kept[e] = n
		}
	}
	have.elements = kept
}
