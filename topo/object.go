package topo

// An Object is one thing that exists, or should exist, in the kernel: a namespace,
// a link, an address … Objects have no indexes, descriptors, pids or times. So ==
// compares an object of the file with an object read from the kernel. Names
// identify links and namespaces; the namespace "" is the machine's.
//
// Each kind of object has its own file, with the type, its methods and what only this kind
// needs. A row of kindRows gives its place in the order of creation.
type Object interface {
	// Key identifies the object. Two objects with the same key cannot exist at
	// the same time.
	Key() Key
	// String returns the namespace and the object in ip(8)'s words:
	// "red: addr 192.168.15.2/24 dev eth0".
	String() string

	// needs returns the keys of the objects that this one depends on. They must
	// exist before it and as long as it does. Keys that no state has are assumed
	// to exist.
	needs() []Key
	// provides returns the keys that other objects may need, its own first.
	provides() []Key
	// canBecome reports whether the kernel can change the object to next in place.
	canBecome(next Object) bool
	// normal returns the object in the form in which the kernel reports it.
	normal() Object
	// commands returns the commands that do the same as a step with the object; see [Plan.Commands].
	commands(w *scriptWriter, s Step) []command
}

// An object may also have the methods of ranked, onLink, needsInState, usesIPv6, needsFeature and
// needsIPv6. The comment of each interface says what is true for an object without its method.

// A needsFeature object may need an optional feature of the kernel. Without the method, a link needs
// its type of link, and another object needs none.
type needsFeature interface{ feature() string }

// A needsIPv6 object may need a kernel with IPv6; without the method, it does not.
type needsIPv6 interface{ needsIPv6() bool }

// A Key identifies an object.
type Key struct {
	Kind Kind
	NS   string // the namespace, "" for the machine's
	Name string // unique within the kind and the namespace
}

// Normalize returns the object as the kernel reports it: names and values in one form,
// defaults filled in.
func Normalize(o Object) Object { return o.normal() }

// Needs returns the keys of the objects that have to exist before o, and as long as o does.
func Needs(o Object) []Key { return o.needs() }

// Provides returns the keys that o satisfies: its own, and for a veth pair those of both ends.
func Provides(o Object) []Key { return o.provides() }

// Feature returns the optional feature of the kernel that an object needs: "vlan", "netem" …;
// "" means none.
func Feature(o Object) string {
	switch o := o.(type) {
	case needsFeature:
		return o.feature()
	case LinkObject:
		return o.Type()
	}
	return ""
}

// NeedsIPv6 reports whether an object needs a kernel with IPv6.
func NeedsIPv6(o Object) bool {
	v6, ok := o.(needsIPv6)
	return ok && v6.needsIPv6()
}

// LinkKey returns the key of a link.
func LinkKey(ns, name string) Key { return Key{OfLink, ns, name} }

// Machine is the reserved name of the machine itself: the network namespace
// vnet runs in. It is allowed wherever a host's name is.
const Machine = "machine"

// NSOf returns the name of a host's namespace in a State.
func NSOf(host string) string {
	if host == Machine {
		return ""
	}
	return host
}
