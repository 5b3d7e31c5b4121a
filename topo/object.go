package topo

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Object is one thing that is, or should be, in the kernel: a namespace, a
// link, an address … Objects are values without indexes, descriptors, pids or
// clocks: == tells whether two are the same, whoever made them, the file or the
// kernel. Links and namespaces are addressed by name; the namespace "" is the
// machine's.
//
// Where a newcomer puts another kind: a type in one of the object*.go files
// with these methods, its place in the order at [Kind], its commands in
// commands.go, and its two directions in the kernel half.
type Object interface {
	// Key is what the object is, whatever its properties: two objects of one key
	// cannot be there at once.
	Key() Key
	// String says the object in ip(8)'s words, behind the namespace it is in:
	// "red: addr 192.168.15.2/24 dev eth0".
	String() string

	// needs are the keys of what it stands on: they have to be there before it,
	// and as long as it is. What belongs to nobody's state is taken to be there.
	needs() []Key
	// provides are the keys that others may need of it, its own the first.
	provides() []Key
	// becomes tells whether the kernel can make it next in place.
	becomes(next Object) bool
	// normal is the object in the one spelling that the kernel would report.
	normal() Object
}

// A Kind is a sort of object. Consecutive steps of one kind go to the kernel
// together; see [Plan.Stages].
type Kind string

// The kinds, in the order in which they are created; they are deleted the other
// way round.
const (
	OfNamespace  Kind = "netns"
	OfLink       Kind = "link"
	OfPort       Kind = "port"
	OfBridgeVLAN Kind = "vlan"
	OfQdisc      Kind = "qdisc"
	OfOffload    Kind = "offload"
	OfSysctl     Kind = "sysctl"
	OfNAT       Kind = "rule"
	OfQuiet      Kind = "quiet"
	OfUp         Kind = "up"
	OfAddress    Kind = "addr"
	OfNeigh      Kind = "neigh"
	OfRoute      Kind = "route"
	OfFile       Kind = "file"
	OfProcess    Kind = "process"
)

// A Key tells objects apart.
type Key struct {
	Kind Kind
	NS   string // the namespace, "" for the machine's
	Name string // unique among those of the kind in the namespace
}

// A Namespace is a network namespace.
type Namespace struct {
	// Name is what the lab calls it, and for one of the lab's own its name in
	// /run/netns.
	Name string
	// From is where one is taken from that somebody else made: a name, a path, or
	// a process id in digits. It is never deleted. "" is one of the lab's own.
	From string
}

// Key implements [Object].
func (n Namespace) Key() Key { return Key{OfNamespace, n.Name, ""} }

// ref is its name in /run/netns; "" if it was taken in by its path or by the id of a
// process, and so may have none.
func (n Namespace) ref() string {
	switch {
	case n.From == "":
		return n.Name
	case n.hasPath(), n.hasPid():
		return ""
	}
	return n.From
}

func (n Namespace) hasPath() bool { return strings.Contains(n.From, "/") }

func (n Namespace) hasPid() bool {
	_, err := strconv.ParseUint(n.From, 10, 31)
	return err == nil
}

// String is "netns red".
func (n Namespace) String() string {
	if n.From != "" {
		return fmt.Sprintf("netns %s taken from %s", n.Name, n.From)
	}
	return "netns " + n.Name
}

func (n Namespace) needs() []Key        { return nil }
func (n Namespace) provides() []Key     { return []Key{n.Key()} }
func (n Namespace) becomes(Object) bool { return false }
func (n Namespace) normal() Object      { return n }

// An Up raises a link; lo, too, which is down in a new namespace. Links that
// have none are down. Bridges are raised after all others: packets that new
// ports send would be flooded to all earlier ones.
type Up struct {
	NS   string
	Link string
}

// Key implements [Object].
func (u Up) Key() Key { return Key{OfUp, u.NS, u.Link} }

// String is "red: link eth0 up".
func (u Up) String() string { return in(u.NS) + "link " + u.Link + " up" }

func (u Up) needs() []Key {
	// The port of a bridge that is not the lab's own is a link of nobody's state.
	return []Key{{OfNamespace, u.NS, ""}, {OfLink, u.NS, u.Link}}
}
func (u Up) provides() []Key     { return []Key{u.Key()} }
func (u Up) becomes(Object) bool { return false }
func (u Up) normal() Object      { return u }

// An Address is an address of a link.
type Address struct {
	NS     string
	Link   string
	Prefix netip.Prefix // the address itself, and the length of its subnet's prefix
}

// Key implements [Object].
func (a Address) Key() Key { return Key{OfAddress, a.NS, a.Prefix.String() + " dev " + a.Link} }

// String is "red: addr 192.168.15.2/24 dev eth0".
func (a Address) String() string { return in(a.NS) + "addr " + a.Key().Name }

func (a Address) needs() []Key {
	// An IPv6 address does not outlive the link's going down.
	return []Key{{OfLink, a.NS, a.Link}, {OfUp, a.NS, a.Link}}
}
func (a Address) provides() []Key     { return []Key{a.Key()} }
func (a Address) becomes(Object) bool { return false }
func (a Address) normal() Object      { return a }

// A Neigh is a neighbour (ARP, ND) that never expires.
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
	return in(n.NS) + "neigh " + n.Key().Name + " lladdr " + n.MAC.String()
}

func (n Neigh) needs() []Key        { return []Key{{OfLink, n.NS, n.Link}, {OfUp, n.NS, n.Link}} }
func (n Neigh) provides() []Key     { return []Key{n.Key()} }
func (n Neigh) becomes(Object) bool { return true }
func (n Neigh) normal() Object      { return n }

// A Sysctl is a network setting of a namespace. What the setting was before is
// remembered in the kernel, and comes back when the lab no longer has it.
type Sysctl struct {
	NS    string
	Name  string // net.ipv4.ip_forward; with slashes where a link's name has a dot
	Value string
}

// Key implements [Object].
func (s Sysctl) Key() Key { return Key{OfSysctl, s.NS, s.Name} }

// String is "red: sysctl net.ipv4.ip_forward = 1".
func (s Sysctl) String() string { return in(s.NS) + "sysctl " + s.Name + " = " + s.Value }

func (s Sysctl) needs() []Key {
	keys := []Key{{OfNamespace, s.NS, ""}}
	if link := s.link(); link != "" {
		keys = append(keys, Key{OfLink, s.NS, link})
	}
	return keys
}

// link is the link whose setting it is, "" if it is not that of one.
func (s Sysctl) link() string {
	parts := s.path()
	if len(parts) < 5 || parts[2] != "conf" && parts[2] != "neigh" || parts[3] == "all" || parts[3] == "default" {
		return ""
	}
	return parts[3]
}

// path is the name's parts. A name is either all dots, where those of a link's
// name are slashes, or all slashes; the first of them tells which; see sysctl(8).
func (s Sysctl) path() []string {
	if i := strings.IndexAny(s.Name, "./"); i >= 0 && s.Name[i] == '/' {
		return strings.Split(s.Name, "/")
	}
	parts := strings.Split(s.Name, ".")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, "/", ".")
	}
	return parts
}
func (s Sysctl) provides() []Key     { return []Key{s.Key()} }
func (s Sysctl) becomes(Object) bool { return true }
func (s Sysctl) normal() Object {
	parts := s.path()
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, ".", "/")
	}
	s.Name, s.Value = strings.Join(parts, "."), strings.Join(strings.Fields(s.Value), " ")
	return s
}

// A File stands in for one of /etc inside a namespace, for programs that are
// started there by vnet or ip: /etc/netns/NS/NAME; see ip-netns(8).
type File struct {
	NS      string // not ""
	Name    string // hosts, resolv.conf
	Content string // all of it, with the last line's end
}

// Key implements [Object].
func (f File) Key() Key { return Key{OfFile, f.NS, f.Name} }

// String is "red: file /etc/hosts (3 lines)".
func (f File) String() string {
	return in(f.NS) + "file /etc/" + f.Name + " (" + strconv.Itoa(strings.Count(f.Content, "\n")) + " lines)"
}

func (f File) needs() []Key        { return []Key{{OfNamespace, f.NS, ""}} }
func (f File) provides() []Key     { return []Key{f.Key()} }
func (f File) becomes(Object) bool { return true }
func (f File) normal() Object      { return f }

// A Process is a shell command that runs in a namespace from up until down. One
// that has done its work is there, too; one that failed is not.
type Process struct {
	NS      string
	Command string // what sh -c runs
}

// Key implements [Object].
func (p Process) Key() Key { return Key{OfProcess, p.NS, p.Command} }

// String is "red: run python3 -m http.server 80".
func (p Process) String() string { return in(p.NS) + "run " + onOneLine(p.Command) }

func (p Process) needs() []Key        { return []Key{{OfNamespace, p.NS, ""}} }
func (p Process) provides() []Key     { return []Key{p.Key()} }
func (p Process) becomes(Object) bool { return false }
func (p Process) normal() Object      { return p }

// in says which namespace something is in: nothing for the machine's.
func in(ns string) string {
	if ns == "" {
		return ""
	}
	return ns + ": "
}

// printable tells whether all of a text, and there is some, can be shown as it is:
// others may have written it.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Shown is a text with escapes, as Go writes them, for what cannot be shown as it is; ends
// of lines and tabs are left. Names of links may have such in them: the kernel minds
// only white space, and who rules in a host gives its links the names he likes.
func Shown(s string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if hidden(r) || r == utf8.RuneError && n == 1 {
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// onOneLine is a text as it is, or between quotation marks if it cannot be shown so.
func onOneLine(s string) string {
	if printable(s) {
		return s
	}
	return strconv.Quote(s)
}
