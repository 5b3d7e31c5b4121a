package topo

import (
	"fmt"
	"strings"
)

const (
	maxDevName  = 15 // bytes; IFNAMSIZ less the final zero
	maxHostName = 63 // bytes; a DNS label
	maxLabName  = 48 // bytes; leaves room for it in an nftables table's name
)

// isAlnum tells whether a byte is a letter or digit of ASCII.
func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// spelled tells whether a name is made of letters, digits and others, and begins with a
// letter, a digit or one of first. Expressions would say the same; to compile them takes half a
// millisecond, of thirteen that a lab of two hosts is up in.
func spelled(name, first, others string) bool {
	for i := range len(name) {
		if !isAlnum(name[i]) && !strings.Contains(others, name[i:i+1]) || i == 0 && !isAlnum(name[0]) && !strings.Contains(first, name[:1]) {
			return false
		}
	}
	return name != ""
}

const inNames = "_.-" // besides letters and digits

const lettersForm = "use letters, digits, - _ and ."

func validDevice(name string) bool {
	return len(name) <= maxDevName && spelled(name, "_", inNames+"@+")
}

func isLabName(s string) bool { return len(s) <= maxLabName && spelled(s, "", inNames) }

// isHostName leaves open how long it is.
func isHostName(s string) bool { return spelled(s, "", inNames) && isAlnum(s[len(s)-1]) }

// names checks what everything is called.
func (k *checker) names() {
	if n := k.t.Name; !isLabName(n) {
		k.badf(pos{1, 1}, n, fmt.Sprintf("%s, at most %d, and begin with a letter or digit", lettersForm, maxLabName), "%q cannot be a lab's name", n)
	}
	nets := map[string]bool{}
	for i := range k.t.Networks {
		n := &k.t.Networks[i]
		k.device(n.at, n.Name, "network")
		if nets[n.Name] {
			k.badf(n.at, n.Name, "", "network %s is defined twice", n.Name)
		}
		nets[n.Name] = true
	}
	k.namesOfHosts()
}

func (k *checker) namesOfHosts() {
	owner := make(map[string]string, len(k.t.Hosts))
	for i := range k.t.Hosts {
		h := &k.t.Hosts[i]
		k.nameOfHost(h)
		if owner[h.Name] != "" {
			k.badf(h.at, h.Name, "", "host %s is defined twice", h.Name)
		}
		owner[h.Name] = h.Name
	}
	for i := range k.t.Hosts {
		h := &k.t.Hosts[i]
		for _, a := range h.Aliases {
			switch {
			case len(a) > 253 || !isHostName(strings.TrimSuffix(a, ".")):
				k.badf(h.at, a, lettersForm, "alias %q cannot be a host's name", a)
			case owner[a] != "" && owner[a] != h.Name:
				k.badf(h.at, a, "a name leads to one host", "alias %s of %s is taken by %s", a, h.Name, owner[a])
			}
			owner[a] = h.Name
		}
	}
}

const domainForm = "parts of letters, digits, - and _ with dots between them, each of 63 bytes at most, 253 in all"

// isDomain tells whether somebody may ask a name server for a name; RFC 1035, 2.3.4.
func isDomain(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for _, part := range strings.Split(name, ".") {
		if part == "" || len(part) > 63 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}

func (k *checker) nameOfHost(h *Host) {
	switch {
	case h.Name == NoGateway:
		k.badf(h.at, h.Name, "choose another", "host name %q has a meaning of its own", h.Name)
	case len(h.Name) > maxHostName:
		k.badf(h.at, h.Name, fmt.Sprintf("shorten it to %d", maxHostName), "host name %q is %d bytes long", h.Name, len(h.Name))
	case !isHostName(h.Name):
		k.badf(h.at, h.Name, lettersForm+", beginning and ending with a letter or digit", "%q cannot be a host's name", h.Name)
	}
}

// device tells whether name can be a device's name and notes a mistake if not.
func (k *checker) device(at pos, name, role string) bool {
	switch {
	case len(name) > maxDevName:
		k.badf(at, name, fmt.Sprintf("a device's name has %d bytes at most", maxDevName), "%s name %q is %d bytes long", role, name, len(name))
	case !validDevice(name) || strings.Trim(name, ".") == "":
		k.badf(at, name, lettersForm, "%s name %q cannot be a device's", role, name)
	case name == "lo" || name == "all" || name == "default":
		k.badf(at, name, "choose another", "%s name %q has a meaning of its own", role, name)
	default:
		return true
	}
	return false
}

// clashes checks that no namespace has two devices of one name, the far ends
// of ports included.
func (k *checker) clashes() {
	type place struct{ host, dev string }
	taken := make(map[place]string, len(k.layout.ifaces)*2)
	claim := func(at pos, host, dev, what string) {
		if other := taken[place{host, dev}]; other != "" {
			k.badf(at, dev, "rename one of them", "%s has two devices %s: %s and %s", called(host), dev, other, what)
			return
		}
		taken[place{host, dev}] = what
	}
	for n := range k.layout.ifaces {
		i := &k.layout.ifaces[n]
		if !i.isSwitch() {
			k.device(i.at, i.dev, "device")
		}
		claim(i.at, i.host, i.dev, i.what(k.t))
	}
	for n := range k.layout.ifaces {
		if i := &k.layout.ifaces[n]; i.att != nil {
			port, _ := portName(k.t.Name, i.host, i.dev)
			claim(i.at, k.t.holder(i.net), port, "the port of "+i.host+" on "+k.t.Networks[i.net].Name)
		}
	}
}

// what says in words what a device is.
func (i *iface) what(t *Topology) string {
	switch {
	case i.att != nil:
		return "the one on " + t.Networks[i.net].Name
	case i.cable != nil:
		return "the end of the link to " + i.cable.Ends[1-i.end].Host
	case i.made != nil:
		return "the " + i.made.Kind + " device"
	}
	return "the switch"
}
