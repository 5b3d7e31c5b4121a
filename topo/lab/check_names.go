package lab

import (
	"fmt"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

const nameForm = "use letters, digits, - _ and ."

func validDevice(name string) bool {
	return len(name) <= naming.MaxLinkName && naming.ValidChars(name, "_", naming.NameChars+"@+")
}

// isHostName reports whether s is a valid name of a host. It does not check the length.
func isHostName(s string) bool {
	return naming.ValidChars(s, "", naming.NameChars) && naming.IsAlnum(s[len(s)-1])
}

// names checks the names of the lab, networks and hosts.
func (k *checker) names() {
	if n := k.t.Name; !naming.IsLab(n) {
		hint := fmt.Sprintf("%s, at most %d, and begin with a letter or digit", nameForm, naming.MaxLabName)
		k.mistakef(syntax.Pos{Line: 1, Column: 1}, n, hint, "%q is not a valid lab name", n)
	}
	nets := map[string]bool{}
	for i := range k.t.Networks {
		n := &k.t.Networks[i]
		k.deviceName(n.at, n.Name, "network")
		if nets[n.Name] {
			k.mistakef(n.at, n.Name, "", "network %s is defined twice", n.Name)
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
			k.mistakef(h.at, h.Name, "", "host %s is defined twice", h.Name)
		}
		owner[h.Name] = h.Name
	}
	for i := range k.t.Hosts {
		k.aliases(&k.t.Hosts[i], owner)
	}
}

const domainForm = "use labels of letters, digits, - and _, separated by dots; " +
	"at most 63 bytes per label and 253 in total"

const labelChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// isDomain reports whether name is a valid name for a DNS query; see RFC 1035, section 2.3.4.
func isDomain(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for _, part := range strings.Split(name, ".") {
		if part == "" || len(part) > 63 || strings.Trim(part, labelChars) != "" {
			return false
		}
	}
	return true
}

func (k *checker) nameOfHost(h *Host) {
	switch {
	case h.Name == NoGateway:
		k.mistakef(h.at, h.Name, "choose another name", "host name %q is reserved", h.Name)
	case len(h.Name) > naming.MaxHostName:
		k.mistakef(h.at, h.Name, fmt.Sprintf("shorten it to %d bytes", naming.MaxHostName),
			"host name %q is %d bytes long", h.Name, len(h.Name))
	case !isHostName(h.Name):
		k.mistakef(h.at, h.Name, nameForm+", and begin and end with a letter or digit", "%q is not a valid host name", h.Name)
	}
}

// deviceName reports whether name is a valid device name. If not, it adds a mistake.
func (k *checker) deviceName(at syntax.Pos, name, role string) bool {
	switch {
	case len(name) > naming.MaxLinkName:
		k.mistakef(at, name, fmt.Sprintf("a device name has at most %d bytes", naming.MaxLinkName),
			"%s name %q is %d bytes long", role, name, len(name))
	case !validDevice(name) || strings.Trim(name, ".") == "":
		k.mistakef(at, name, nameForm, "%s name %q is not a valid device name", role, name)
	case name == loopback || name == "all" || name == "default":
		k.mistakef(at, name, "choose another name", "%s name %q is reserved", role, name)
	default:
		return true
	}
	return false
}

// duplicateDevices reports two devices with the same name in one namespace,
// including the bridge ends of the hosts' veth pairs.
func (k *checker) duplicateDevices() {
	type place struct{ host, dev string }
	used := make(map[place]string, len(k.layout.Ifaces)*2)
	use := func(at syntax.Pos, host, dev, what string) {
		if other := used[place{host, dev}]; other != "" {
			k.mistakef(at, dev, "rename one of them",
				"%s has two devices %s: %s and %s", displayName(host), dev, other, what)
			return
		}
		used[place{host, dev}] = what
	}
	for n := range k.layout.Ifaces {
		i := &k.layout.Ifaces[n]
		if i.IsLoopback() {
			continue
		}
		if !i.IsBridge() {
			k.deviceName(i.at, i.Name, "device")
		}
		use(i.at, i.Host, i.Name, i.describe(k.t))
	}
	for n := range k.layout.Ifaces {
		if i := &k.layout.Ifaces[n]; i.Attachment != nil {
			port, _ := k.layout.PortName(i)
			what := "the bridge port of " + i.Host + " on network " + k.t.Networks[i.Network].Name
			use(i.at, k.t.BridgeHost(i.Network), port, what)
		}
	}
}

// describe returns what the device is, for messages.
func (i *Iface) describe(t *Topology) string {
	switch {
	case i.Attachment != nil:
		return "the device on network " + t.Networks[i.Network].Name
	case i.Link != nil:
		return "the end of the link to " + i.Link.Ends[1-i.End].Host
	case i.Device != nil:
		return "the " + i.Device.Kind + " device"
	}
	return "the bridge"
}
