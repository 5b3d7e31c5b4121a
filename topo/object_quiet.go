package topo

import "maps"

// A Quiet keeps a link from saying anything of IPv6: it has no link-local address, and the
// kernel asks there neither whether somebody else has it, nor, every few seconds, for a
// router. A switch sends each such packet to all its ports: of a thousand hosts, they fill
// the queues, and nothing else gets through. It is ip-link(8)'s addrgenmode none.
type Quiet struct {
	NS   string
	Link string
}

// Key implements [Object].
func (q Quiet) Key() Key { return Key{OfQuiet, q.NS, q.Link} }

// String is "red: link eth0 addrgenmode none".
func (q Quiet) String() string { return in(q.NS) + "link " + q.Link + " addrgenmode none" }

func (q Quiet) needs() []Key        { return []Key{{OfLink, q.NS, q.Link}} }
func (q Quiet) provides() []Key     { return []Key{q.Key()} }
func (q Quiet) becomes(Object) bool { return true }
func (q Quiet) normal() Object      { return q }

// A voice is what a link has to say of IPv6.
type voice uint8

const (
	// A link that the lab gives no address asks for routers, as it would alone.
	curious voice = iota
	// A settled one has an address of IPv6 by the lab, and need not ask.
	settled
	// A quiet one has addresses of IPv4 alone.
	quiet
	// A dumb one cannot carry IPv6, or is a port that is told nothing.
	dumb
	// A mute one is a cable's end in a switch: what arrives there is the switch's. The
	// kernel need not speak IPv6 on it at all, and goes through fewer routes and members of
	// groups for each other port: ten thousand are made in two thirds of the time.
	mute
	// A ruled one has a setting of the lab's that says whether it speaks.
	ruled
)

// settings are what a link is told of it at birth, below net.ipv6.conf and its name; see
// ip-sysctl.rst. All are spared the detection of duplicates: the lab knows its addresses, and
// until the link-local one had passed it, which takes a second or two, nobody behind it
// could be found. Of a quiet one, that is the lesser part; see [Quiet].
func (v voice) settings() []string {
	switch v {
	case curious, ruled:
		return []string{"accept_dad=0"}
	case settled:
		return []string{"accept_dad=0", "router_solicitations=0"}
	case mute:
		return []string{"disable_ipv6=1"}
	}
	return nil
}

// voiceKey is what a link's voice is kept by.
func (l Link) voiceKey() Key {
	k := l.Key()
	if l.Master != "" {
		k.Kind = OfPort
	}
	return k
}

// claims are what a state says of a link, in bits.
type claims uint8

const (
	four  claims = 1 << iota // an address of IPv4
	six                      // one of IPv6
	about                    // anything else that is about IPv6
	rules                    // whether the link speaks it
)

// claimsOf is what a state says of links, by their keys as links. In some namespaces; in all
// for nil.
func (s State) claimsOf(some map[string]bool) map[Key]claims {
	of := map[Key]claims{}
	for k, o := range s {
		if some != nil && !some[k.NS] {
			continue
		}
		switch x := o.(type) {
		case Address:
			bit := four
			if x.Prefix.Addr().Is6() {
				bit = six
			}
			of[Key{OfLink, x.NS, x.Link}] |= bit
		case Neigh:
			if x.Addr.Is6() {
				of[Key{OfLink, x.NS, x.Link}] |= about
			}
		case Route:
			for _, hop := range x.NextHops() {
				if x.Dst.Addr().Is6() || hop.Via.Is6() {
					of[Key{OfLink, x.NS, hop.Device}] |= about
				}
			}
		case Sysctl:
			if link, name, ok := settingOf6(x.Name); ok {
				of[Key{OfLink, x.NS, link}] |= about
				if name == "disable_ipv6" {
					of[Key{OfLink, x.NS, link}] |= rules
				}
			}
		case VXLAN:
			if x.Remote.Is6() || x.Local.Is6() {
				of[Key{OfLink, x.NS, x.Parent}] |= about
			}
		}
	}
	return of
}

// eachVoice calls fn with the lab's own links, in some namespaces or for nil in all, and the
// voices that they have.
func (s State) eachVoice(some map[string]bool, fn func(Link, voice)) {
	of := s.claimsOf(some)
	for k, o := range s {
		made, ok := o.(linked)
		if !ok || some != nil && !some[k.NS] {
			continue
		}
		_, cable := o.(Veth)
		for _, l := range made.links() {
			fn(l, l.voice(of[l.Key()], cable))
		}
	}
}

// voice is a link's of which that is said. One with addresses of IPv4 is not quiet if anything
// else that the lab says of it is about IPv6.
func (l Link) voice(say claims, cable bool) voice {
	switch {
	case !l.carries6():
		return dumb
	case l.Master != "" && cable && say&(six|about) == 0:
		return mute
	case l.Master != "":
		return dumb
	case say&rules != 0:
		return ruled
	case say&six != 0:
		return settled
	case say&four != 0 && say&about == 0:
		return quiet
	}
	return curious
}

// voicesIn are those of links in some namespaces, by their keys as links, or else as ports: of a
// link that becomes one, both may be asked for.
func (s State) voicesIn(some map[string]bool) map[Key]voice {
	voices := map[Key]voice{}
	s.eachVoice(some, func(l Link, v voice) { voices[l.voiceKey()] = v })
	return voices
}

// A stepLink is a link of a step's, by its key, and what it is told of IPv6.
type stepLink struct {
	step     int
	link     Key
	settings []string
	spare    bool // where nobody may write settings, it does without
}

// asByDefault is the value of a setting that new links have in the namespace.
const asByDefault = "default"

// told6 are the links of a step that are told something of IPv6: new ones, and ends of cables
// that come into a switch or leave it.
func (s Step) told6(voices map[Key]voice) (told []stepLink) {
	made, ok := s.Want.(linked)
	if !ok {
		return nil
	}
	for i, l := range made.links() {
		v := voices[l.voiceKey()]
		t := stepLink{link: l.Key(), settings: v.settings(), spare: v == mute}
		switch was, cable := s.Have.(Veth); {
		case s.Have == nil:
		case !cable || (was.Ends[i].Master == "") == (l.Master == ""):
			continue
		case l.Master == "" && v != ruled && v != dumb:
			t.settings, t.spare = append(t.settings, "disable_ipv6="+asByDefault), true
		case v != mute:
			continue
		}
		if len(t.settings) > 0 {
			told = append(told, t)
		}
	}
	return told
}

// speaking are the settings of a link that is quiet no longer: told by one, the kernel makes
// it a link-local address at once.
func speaking() []string { return append(curious.settings(), "addr_gen_mode=0") }

// settingOf6 tells which link's a setting of IPv6 is, and which.
func settingOf6(setting string) (link, name string, ok bool) {
	path := Sysctl{Name: setting}.path()
	if len(path) != 5 || path[1] != "ipv6" || path[2] != "conf" {
		return "", "", false
	}
	return path[3], path[4], true
}

// voices are those of the plan's links, as they are going to be in want, and of those that go,
// as they were in have; and of others in their namespaces.
func (p Plan) voices(have, want State) map[Key]voice {
	in := map[string]bool{}
	for _, step := range p {
		if links, ok := step.Object().(linked); ok {
			for _, l := range links.links() {
				in[l.NS] = true
			}
		}
	}
	if len(in) == 0 {
		return nil
	}
	all := have.voicesIn(in)
	maps.Copy(all, want.voicesIn(in))
	return all
}

// applied is the state that a plan makes of another.
func (p Plan) applied(have State) State {
	want := NewState()
	maps.Copy(want, have)
	for _, step := range p {
		if step.Want == nil {
			delete(want, step.Have.Key())
		} else {
			want.put(step.Want)
		}
	}
	return want
}

// hush puts in what keeps the quiet links so.
func (s State) hush() {
	var hushed []Quiet
	s.eachVoice(nil, func(l Link, v voice) {
		if v == quiet {
			hushed = append(hushed, Quiet{l.NS, l.Name})
		}
	})
	for _, q := range hushed {
		s.put(q)
	}
}
