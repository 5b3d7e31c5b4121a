package topo

import "github.com/vnet-lab/vnet/internal/display"

// An AddrGenNone sets ip-link(8)'s addrgenmode none: the link gets no link-local address. Then
// the kernel sends no packets for duplicate address detection, and no router solicitations every
// few seconds. A bridge floods each such packet to all its ports: with a thousand hosts, these packets
// fill the queues, and no other packet gets through.
type AddrGenNone struct {
	NS   string
	Link string
}

// Key implements [Object].
func (a AddrGenNone) Key() Key { return Key{OfAddrGen, a.NS, a.Link} }

// String is "red: link eth0 addrgenmode none".
func (a AddrGenNone) String() string {
	return display.In(a.NS) + "link " + a.Link + " addrgenmode none"
}

func (a AddrGenNone) needs() []Key          { return []Key{{OfLink, a.NS, a.Link}} }
func (a AddrGenNone) provides() []Key       { return []Key{a.Key()} }
func (a AddrGenNone) canBecome(Object) bool { return true }
func (a AddrGenNone) normal() Object        { return a }

// AddAddrGenNone adds an AddrGenNone for each link in mode IPv6NoLinkLocal.
func (s State) AddAddrGenNone() {
	var found []AddrGenNone
	s.eachIPv6Mode(nil, func(l Link, m IPv6Mode) {
		if m == IPv6NoLinkLocal {
			found = append(found, AddrGenNone{l.NS, l.Name})
		}
	})
	for _, a := range found {
		s.Put(a)
	}
}

func (a AddrGenNone) onLink() Key { return Key{OfLink, a.NS, a.Link} }

// SettingsWithout returns the settings to write when the AddrGenNone is deleted; mode is the link's mode
// after that. The last one sets addr_gen_mode, with which the kernel creates the link-local address at once.
// For shared, see [Step.IPv6Settings].
func (a AddrGenNone) SettingsWithout(mode IPv6Mode, shared func(ns string) bool) LinkSettings {
	settings := mode.Settings()
	switch {
	case mode == IPv6Static:
	case shared(a.NS):
		settings = append(IPv6Default.Settings(), "accept_ra")
	default:
		settings = IPv6Default.settingsIn(false)
	}
	return LinkSettings{Link: a.onLink(), Settings: append(settings, "addr_gen_mode=0")}
}

// commands also delete the link-local address that a link has, or make the kernel
// create one, which it does only if the mode is changed by a sysctl.
func (a AddrGenNone) commands(w *scriptWriter, s Step) []command {
	if s.Want == nil {
		return []command{w.ipv6SettingsCommand(a.SettingsWithout(w.ipv6Modes[a.onLink()], w.isShared))}
	}
	cmds := []command{{a.NS, "ip", "link set dev " + a.Link + " addrgenmode none"}}
	if _, had := w.initial[Key{OfUp, a.NS, a.Link}]; had {
		cmds = append(cmds, command{a.NS, "ip", "-6 addr flush dev " + a.Link + " scope link"})
	}
	return cmds
}
