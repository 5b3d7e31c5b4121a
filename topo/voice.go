package topo

import "maps"

// A voice is what a link says of IPv6 by itself. Left alone, one that is up gets a
// link-local address; the kernel asks whether somebody else has it, and then, every few
// seconds, for a router. A switch sends each such packet to all its ports: of a thousand
// hosts they fill the queues, and nothing else gets through.
type voice uint8

const (
	// A link that the lab gives no address asks for routers, as it would alone.
	curious voice = iota
	// A settled one has an address of IPv6 by the lab, and need not ask.
	settled
	// A quiet one has addresses of IPv4 alone, and has no link-local one.
	quiet
)

// settings are what tells a link so, below net.ipv6.conf and its name; see ip-sysctl.rst.
// All are spared the detection of duplicates: the lab knows its addresses, and until the
// link-local one had passed it, which takes a second or two, nobody behind it could be found.
func (v voice) settings() []string {
	switch v {
	case settled:
		return []string{"accept_dad=0", "router_solicitations=0"}
	case quiet:
		return []string{"addr_gen_mode=1"}
	}
	return []string{"accept_dad=0"}
}

// voices are those of the lab's own links, by their keys; of one that is not among them,
// curious. What cannot carry IPv6 has nothing to be told.
func (s State) voices() map[Key]voice {
	four, six, routed := map[Key]bool{}, map[Key]bool{}, map[Key]bool{}
	var links []Link
	for _, o := range s {
		switch x := o.(type) {
		case linked:
			links = append(links, x.links()...)
		case Address:
			of := four
			if x.Prefix.Addr().Is6() {
				of = six
			}
			of[Key{OfLink, x.NS, x.Link}] = true
		case Route:
			for _, hop := range x.NextHops() {
				if x.Dst.Addr().Is6() || hop.Via.Is6() {
					routed[Key{OfLink, x.NS, hop.Device}] = true
				}
			}
		}
	}
	voices := map[Key]voice{}
	for _, l := range links {
		switch k := l.Key(); {
		case !l.carries6():
		case six[k]:
			voices[k] = settled
		case four[k] && !routed[k]:
			voices[k] = quiet
		}
	}
	return voices
}

// after is what s becomes by the plan.
func (s State) after(p Plan) State {
	next := NewState()
	maps.Copy(next, s)
	for _, step := range p {
		if step.Want == nil {
			delete(next, step.Have.Key())
		} else {
			next.put(step.Want)
		}
	}
	return next
}
