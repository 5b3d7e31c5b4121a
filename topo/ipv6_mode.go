package topo

import "maps"

// An IPv6Mode is how the kernel uses IPv6 on a link of the lab.
type IPv6Mode uint8

const (
	// IPv6Default means: the lab gives the link no address. The kernel solicits routers, as without vnet.
	IPv6Default IPv6Mode = iota
	// IPv6Static means: the lab gives the link an IPv6 address, or an IPv4 address and anything else for IPv6. The
	// link ignores router advertisements and redirects, unless a sysctl of the lab changes this later.
	IPv6Static
	// IPv6NoLinkLocal means: the lab gives the link IPv4 addresses only. It has no link-local address; see [AddrGenNone].
	IPv6NoLinkLocal
	// IPv6Unused means: the MTU is too small for IPv6, or the link is a port and vnet writes no setting.
	IPv6Unused
	// IPv6Disabled means: the link is a veth end in a bridge. vnet sets disable_ipv6=1, because packets that arrive
	// there belong to the bridge. The kernel then goes through fewer routes and multicast groups for each further
	// port: creating ten thousand ports takes only two thirds of the time.
	IPv6Disabled
	// IPv6UserSet means: a sysctl of the lab sets disable_ipv6.
	IPv6UserSet
)

// Settings returns the settings below net.ipv6.conf.LINK that vnet writes when it creates the
// link; see ip-sysctl.rst. They turn off duplicate address detection: the lab knows its
// addresses. With detection, the link-local address is unusable for one or two seconds, and
// neighbour discovery for hosts behind the link fails until then. A link in mode IPv6NoLinkLocal has
// no link-local address; see [AddrGenNone]. In these two modes of a link with an address, the link also
// ignores router advertisements: another host must not give it an address and a default route.
func (m IPv6Mode) Settings() []string {
	switch m {
	case IPv6Default, IPv6UserSet:
		return []string{"accept_dad=0"}
	case IPv6Static:
		// Without accept_ra there are no solicitations either.
		return []string{"accept_dad=0", "accept_ra=0", "accept_redirects=0"}
	case IPv6NoLinkLocal:
		return []string{"accept_ra=0"}
	case IPv6Disabled:
		return []string{"disable_ipv6=1"}
	}
	return nil
}

// settingsIn returns the settings that differ from those of new links in a namespace. In the lab's own
// namespaces, new links have [OwnDefault].
func (m IPv6Mode) settingsIn(shared bool) []string {
	switch {
	case shared:
	case m == IPv6NoLinkLocal:
		return nil
	case m == IPv6Static:
		return []string{"accept_dad=0", "accept_redirects=0"}
	case m == IPv6Default:
		return append(m.Settings(), "accept_ra=1") // as without vnet
	}
	return m.Settings()
}

// OwnDefault is a setting below OwnDefaultDir that a new namespace of the lab gets. With router
// advertisements, any host of a network could become the gateway of the others. One setting for new links
// takes less time than one for each link.
const (
	OwnDefaultDir = "net/ipv6/conf/default"
	OwnDefault    = "accept_ra=0"
)

// IPv6ModeKey returns the key of the link in a map of IPv6 modes: for a bridge port its kind is OfPort, else OfLink.
func (l Link) IPv6ModeKey() Key {
	k := l.Key()
	if l.Master != "" {
		k.Kind = OfPort
	}
	return k
}

// ipv6Uses are bits: what a state configures on a link.
type ipv6Uses uint8

const (
	usesIPv4Address ipv6Uses = 1 << iota
	usesIPv6Address
	usesIPv6Otherwise // a neighbour, route, setting or tunnel of IPv6
	setsDisableIPv6   // the setting disable_ipv6
)

// linkUses has the uses of links, by the keys of the links.
type linkUses map[Key]ipv6Uses

// A usesIPv6 object may add a use to its links; without the method, it adds none.
type usesIPv6 interface{ useIPv6(uses linkUses) }

// eachIPv6Mode calls fn with each link that the lab creates, and its mode. It looks at the
// given namespaces; nil means all.
func (s State) eachIPv6Mode(namespaces map[string]bool, fn func(Link, IPv6Mode)) {
	uses, links := linkUses{}, []LinkObject(nil)
	for k, o := range s {
		if namespaces != nil && !namespaces[k.NS] {
			continue
		}
		if user, ok := o.(usesIPv6); ok {
			user.useIPv6(uses)
		}
		if made, ok := o.(LinkObject); ok {
			links = append(links, made)
		}
	}
	for _, made := range links {
		_, veth := made.(Veth)
		for _, l := range made.Links() {
			fn(l, l.ipv6Mode(uses[l.Key()], veth))
		}
	}
}

// ipv6Mode returns the mode of a link with these uses. A link with IPv4 addresses keeps its
// link-local address if the lab configures anything else for IPv6 on it.
func (l Link) ipv6Mode(uses ipv6Uses, veth bool) IPv6Mode {
	switch {
	case !l.CarriesIPv6():
		return IPv6Unused
	case l.Master != "" && veth && uses&(usesIPv6Address|usesIPv6Otherwise) == 0:
		return IPv6Disabled
	case l.Master != "":
		return IPv6Unused
	case uses&setsDisableIPv6 != 0:
		return IPv6UserSet
	case uses&usesIPv6Address != 0:
		return IPv6Static
	case uses&usesIPv4Address != 0 && uses&usesIPv6Otherwise == 0:
		return IPv6NoLinkLocal
	case uses&usesIPv4Address != 0:
		return IPv6Static
	}
	return IPv6Default
}

// IPv6ModesIn returns the modes of the links in the given namespaces, by [Link.IPv6ModeKey]. nil means
// all namespaces.
func (s State) IPv6ModesIn(namespaces map[string]bool) map[Key]IPv6Mode {
	modes := map[Key]IPv6Mode{}
	s.eachIPv6Mode(namespaces, func(l Link, m IPv6Mode) { modes[l.IPv6ModeKey()] = m })
	return modes
}

// A LinkSettings is a link of a step, and the IPv6 settings to write for it.
type LinkSettings struct {
	Step     int // index in the stage
	Link     Key
	Settings []string // "NAME=VALUE"; "NAME" copies the setting of net.ipv6.conf.default
	Optional bool     // no error where /proc/sys is read-only
}

// IPv6Settings returns the links of a step that need IPv6 settings: new links, and veth ends
// that enter or leave a bridge. shared reports whether a namespace is not the lab's own: others may
// have disabled IPv6 for new links there, as Docker does in its containers.
func (s Step) IPv6Settings(modes map[Key]IPv6Mode, shared func(ns string) bool) (links []LinkSettings) {
	made, ok := s.Want.(LinkObject)
	if !ok {
		return nil
	}
	for i, l := range made.Links() {
		m := modes[l.IPv6ModeKey()]
		sl := LinkSettings{Link: l.Key(), Settings: m.settingsIn(shared(l.NS)), Optional: m == IPv6Disabled}
		if m == IPv6NoLinkLocal {
			sl.Optional = l.NS != ""
		}
		if m == IPv6Static && shared(l.NS) {
			sl.Settings = append([]string{"disable_ipv6=0"}, sl.Settings...)
		}
		switch was, veth := s.Have.(Veth); {
		case s.Have == nil:
		case !veth || (was.Ends[i].Master == "") == (l.Master == ""):
			continue
		case l.Master == "" && m != IPv6UserSet && m != IPv6Unused:
			sl.Settings, sl.Optional = append(sl.Settings, "disable_ipv6"), true
		case m != IPv6Disabled:
			continue
		}
		if len(sl.Settings) > 0 {
			links = append(links, sl)
		}
	}
	return links
}

// IPv6Modes returns the modes of all links in the namespaces in which the plan creates, changes
// or deletes links or an AddrGenNone: those of want, and those of have for links that want does not have.
func (p Plan) IPv6Modes(have, want State) map[Key]IPv6Mode {
	namespaces := map[string]bool{}
	for _, step := range p {
		switch o := step.Object().(type) {
		case AddrGenNone:
			namespaces[o.NS] = true
		case LinkObject:
			for _, l := range o.Links() {
				namespaces[l.NS] = true
			}
		}
	}
	if len(namespaces) == 0 {
		return nil
	}
	modes := have.IPv6ModesIn(namespaces)
	maps.Copy(modes, want.IPv6ModesIn(namespaces))
	return modes
}

// Applied returns the state have after the plan's changes.
func (p Plan) Applied(have State) State {
	want := NewState()
	maps.Copy(want, have)
	for _, step := range p {
		if step.Want == nil {
			delete(want, step.Have.Key())
		} else {
			want.Put(step.Want)
		}
	}
	return want
}
