package topo

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
)

// NSOf returns the name of a host's namespace in a State.
func NSOf(host string) string {
	if host == Machine {
		return ""
	}
	return host
}

// LinkSysctl returns the name of a sysctl of a link.
func LinkSysctl(family, link, key string) string {
	return fmt.Sprintf("net.%s.conf.%s.%s", family, strings.ReplaceAll(link, ".", "/"), key)
}

// The settings that turn forwarding on, for all links of a namespace.
const (
	ForwardingIPv4 = "net.ipv4.ip_forward"
	ForwardingIPv6 = "net.ipv6.conf.all.forwarding"
)

// An Object is one thing that exists, or should exist, in the kernel: a namespace,
// a link, an address … Objects have no indexes, descriptors, pids or times. So ==
// compares an object of the file with an object read from the kernel. Names
// identify links and namespaces; the namespace "" is the machine's.
//
// To add a kind: add a type with these methods in an object*.go file, its place in
// the order at [Kind], its commands in commands_object.go, and its reading and
// writing in the kernel*.go and snapshot*.go files.
type Object interface {
	// Key identifies the object. Two objects with the same key cannot exist at
	// the same time.
	Key() Key
	// String returns the namespace and the object in ip(8)'s words:
	// "red: addr 192.168.15.2/24 dev eth0".
	String() string

	// Needs returns the keys of the objects that this one depends on. They must
	// exist before it and as long as it does. Keys that no state has are assumed
	// to exist.
	needs() []Key
	// Provides returns the keys that other objects may need, its own first.
	provides() []Key
	// CanBecome reports whether the kernel can change the object to next in place.
	canBecome(next Object) bool
	// Normal returns the object in the form in which the kernel reports it.
	normal() Object
}

// A Kind is a kind of object, as the JSON of plans names it. Consecutive steps of one
// kind go to the kernel together; see [Plan.Stages].
type Kind string

// The kinds, in the order of creation. Deletion is in reverse order.
const (
	OfNamespace  Kind = "netns"
	OfLink       Kind = "link"
	OfPort       Kind = "port"
	OfBridgeVLAN Kind = "vlan"
	OfQdisc      Kind = "qdisc"
	OfOffload    Kind = "offload"
	OfSysctl     Kind = "sysctl"
	OfNAT        Kind = "nat"
	OfAddrGen    Kind = "addrgenmode"
	OfUp         Kind = "up"
	OfAddress    Kind = "addr"
	OfNeigh      Kind = "neigh"
	OfRoute      Kind = "route"
	OfFile       Kind = "file"
	OfProcess    Kind = "process"
)

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

// LinkKey returns the key of a link.
func LinkKey(ns, name string) Key { return Key{OfLink, ns, name} }

// A Namespace is a network namespace.
type Namespace struct {
	// Name is the name in the lab. For a namespace that the lab creates, it is
	// also the name in /run/netns.
	Name string
	// From says where an adopted namespace is: a name, a path, or a process id in
	// digits. vnet never deletes it. "" means that the lab creates the namespace.
	From string
}

// Key implements [Object].
func (n Namespace) Key() Key { return Key{OfNamespace, n.Name, ""} }

// Ref returns the name in /run/netns. It is "" for a namespace adopted by path or
// process id, which may have no name.
func (n Namespace) Ref() string {
	switch {
	case n.From == "":
		return n.Name
	case n.HasPath(), n.HasPID():
		return ""
	}
	return n.From
}

// HasPath reports whether From is a path.
func (n Namespace) HasPath() bool { return strings.Contains(n.From, "/") }

// HasPID reports whether From is a process id.
func (n Namespace) HasPID() bool {
	_, err := strconv.ParseUint(n.From, 10, 31)
	return err == nil
}

// String is "netns red".
func (n Namespace) String() string {
	if n.From != "" {
		return fmt.Sprintf("netns %s adopted from %s", n.Name, n.From)
	}
	return "netns " + n.Name
}

func (n Namespace) needs() []Key          { return nil }
func (n Namespace) provides() []Key       { return []Key{n.Key()} }
func (n Namespace) canBecome(Object) bool { return false }
func (n Namespace) normal() Object        { return n }

// An Up sets a link up, also lo, which is down in a new namespace. Links without
// an Up are down. Bridges are set up after all other links: otherwise packets from
// new ports would be flooded to all earlier ports.
type Up struct {
	NS   string
	Link string
}

// Key implements [Object].
func (u Up) Key() Key { return Key{OfUp, u.NS, u.Link} }

// String is "red: link eth0 up".
func (u Up) String() string { return display.In(u.NS) + "link " + u.Link + " up" }

func (u Up) needs() []Key {
	return []Key{{OfNamespace, u.NS, ""}, {OfLink, u.NS, u.Link}}
}
func (u Up) provides() []Key       { return []Key{u.Key()} }
func (u Up) canBecome(Object) bool { return false }
func (u Up) normal() Object        { return u }

// An Address is an IP address of a link.
type Address struct {
	NS     string
	Link   string
	Prefix netip.Prefix // the address and the prefix length of its subnet
}

// Key implements [Object].
func (a Address) Key() Key { return Key{OfAddress, a.NS, a.Prefix.String() + " dev " + a.Link} }

// String is "red: addr 192.168.15.2/24 dev eth0".
func (a Address) String() string { return display.In(a.NS) + "addr " + a.Key().Name }

func (a Address) needs() []Key {
	// The kernel removes IPv6 addresses when the link goes down.
	return []Key{{OfLink, a.NS, a.Link}, {OfUp, a.NS, a.Link}}
}
func (a Address) provides() []Key       { return []Key{a.Key()} }
func (a Address) canBecome(Object) bool { return false }
func (a Address) normal() Object        { return a }

// A Neigh is a permanent neighbour entry (ARP, NDP).
type Neigh struct {
	NS   string
	Link string
	Addr netip.Addr
	MAC  MAC
}

// Key implements [Object].
func (n Neigh) Key() Key { return Key{OfNeigh, n.NS, n.Addr.String() + " dev " + n.Link} }

// String is "red: neigh 10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09".
func (n Neigh) String() string {
	return display.In(n.NS) + "neigh " + n.Key().Name + " lladdr " + n.MAC.String()
}

func (n Neigh) needs() []Key          { return []Key{{OfLink, n.NS, n.Link}, {OfUp, n.NS, n.Link}} }
func (n Neigh) provides() []Key       { return []Key{n.Key()} }
func (n Neigh) canBecome(Object) bool { return true }
func (n Neigh) normal() Object        { return n }

// A Sysctl is a network setting of a namespace. A record in the kernel saves the
// former value. vnet restores it when the lab no longer has the setting.
type Sysctl struct {
	NS    string
	Name  string // net.ipv4.ip_forward; with slashes where a link's name has a dot
	Value string
}

// Key implements [Object].
func (s Sysctl) Key() Key { return Key{OfSysctl, s.NS, s.Name} }

// String is "red: sysctl net.ipv4.ip_forward = 1".
func (s Sysctl) String() string { return display.In(s.NS) + "sysctl " + s.Name + " = " + s.Value }

func (s Sysctl) needs() []Key {
	keys := []Key{{OfNamespace, s.NS, ""}}
	if link := s.link(); link != "" {
		keys = append(keys, Key{OfLink, s.NS, link})
	}
	return keys
}

// link returns the link of a per-link setting, "" for any other setting.
func (s Sysctl) link() string {
	parts := s.Path()
	if len(parts) < 5 || parts[2] != "conf" && parts[2] != "neigh" || parts[3] == "all" || parts[3] == "default" {
		return ""
	}
	return parts[3]
}

// Path splits the name. The first separator in a name decides: with dots, a slash
// stands for a dot in a link's name; with slashes, a dot is a dot. See sysctl(8).
func (s Sysctl) Path() []string {
	if i := strings.IndexAny(s.Name, "./"); i >= 0 && s.Name[i] == '/' {
		return strings.Split(s.Name, "/")
	}
	parts := strings.Split(s.Name, ".")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, "/", ".")
	}
	return parts
}
func (s Sysctl) provides() []Key       { return []Key{s.Key()} }
func (s Sysctl) canBecome(Object) bool { return true }
func (s Sysctl) normal() Object {
	parts := s.Path()
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, ".", "/")
	}
	s.Name, s.Value = strings.Join(parts, "."), strings.Join(strings.Fields(s.Value), " ")
	return s
}

// A File is /etc/netns/NS/NAME. Programs that vnet or ip starts in the namespace
// see it as /etc/NAME; see ip-netns(8).
type File struct {
	NS      string // not ""
	Name    string // hosts, resolv.conf
	Content string // complete, with the final newline
}

// Key implements [Object].
func (f File) Key() Key { return Key{OfFile, f.NS, f.Name} }

// String is "red: file /etc/hosts (3 lines)".
func (f File) String() string {
	return display.In(f.NS) + "file /etc/" + f.Name + " (" + strconv.Itoa(strings.Count(f.Content, "\n")) + " lines)"
}

func (f File) needs() []Key          { return []Key{{OfNamespace, f.NS, ""}} }
func (f File) provides() []Key       { return []Key{f.Key()} }
func (f File) canBecome(Object) bool { return true }
func (f File) normal() Object        { return f }

// A Process is a shell command that runs in a namespace from up until down. It
// still exists after it ended with success, but not after it failed.
type Process struct {
	NS      string
	Command string // what sh -c runs
}

// Key implements [Object].
func (p Process) Key() Key { return Key{OfProcess, p.NS, p.Command} }

// String is "red: run python3 -m http.server 80".
func (p Process) String() string { return display.In(p.NS) + "run " + display.OneLine(p.Command) }

func (p Process) needs() []Key          { return []Key{{OfNamespace, p.NS, ""}} }
func (p Process) provides() []Key       { return []Key{p.Key()} }
func (p Process) canBecome(Object) bool { return false }
func (p Process) normal() Object        { return p }

// Machine is the reserved name of the machine itself: the network namespace
// vnet runs in. It is allowed wherever a host's name is.
const Machine = "machine"
