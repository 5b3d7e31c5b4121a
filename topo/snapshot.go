//go:build linux

package topo

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// Snapshot reads what the lab has in the kernel: what carries its mark. want, which
// may be nil, tells which settings are looked at that the lab did not have to
// change: they count as there if they are as wanted.
func (k *Kernel) Snapshot(want State) (State, error) {
	return k.snapshot(want, touches{all: true}, true)
}

// snapshot reads anew what is said to be touched; the rest is as it was when it was read
// last, for the same want, but for the files that were written since. Programs are looked
// for if that is said.
func (k *Kernel) snapshot(want State, touched touches, programs bool) (State, error) {
	wanted := wishesOf(want)
	var all []nsfs.Process
	var allErr error
	var beside sync.WaitGroup
	if programs {
		beside.Go(func() { all, allErr = nsfs.Processes() })
	}
	look := func(s *space, entered error) error {
		v := &spaceView{space: s, wanted: wanted[s.name], filed: s.files != nil && !touched.all}
		if links, _ := touched.of(s.name); links != nil && s.view != nil && moreTouched*len(links) < len(s.view.links) {
			v.links, v.touched = s.view.links, links
		}
		return k.look(v, entered)
	}
	due := func(s *space) bool {
		_, is := touched.of(s.name)
		return is || s.view == nil
	}
	err := k.discover(look, due)
	beside.Wait()
	if err := errors.Join(err, allErr); err != nil {
		return nil, err
	}
	r := &reading{lab: k.lab}
	for _, s := range k.spaces {
		clear(s.view.ours)
		r.views = append(r.views, s.view)
	}
	r.links()
	r.all()
	k.unready = r.unready
	if programs {
		if err := k.find(want, all); err != nil {
			return nil, err
		}
	}
	r.running(k.programs)
	if !k.ipv6 {
		r.nothingOf6(want)
	}
	return r.state(), nil
}

// running puts in programs.
func (r *reading) running(programs []process) {
	for _, p := range programs {
		for _, v := range r.views {
			if v.space.id == p.ns {
				r.put(Process{NS: v.space.name, Command: p.command})
			}
		}
	}
}

// A reading makes a state of views.
type reading struct {
	lab     string
	views   []*spaceView
	found   []found
	unready []waiting
}

// A found object is one that is there, by its key.
type found struct {
	key    Key
	object Object
}

func (r *reading) put(o Object) {
	o = o.normal()
	r.found = append(r.found, found{o.Key(), o})
}

func (r *reading) state() State {
	s := make(State, len(r.found))
	for _, f := range r.found {
		s[f.key] = f.object
	}
	return s
}

// all puts in all views, several at once.
func (r *reading) all() {
	var turns turns
	parts := make([][]found, workers)
	inParallel(workers, workers, func(w int) {
		part := reading{lab: r.lab}
		turns.take(len(r.views), func(i int) { part.view(r.views[i]) })
		parts[w] = part.found
	})
	for _, part := range parts {
		r.found = append(r.found, part...)
	}
}

// waiting is a link that is up and has no carrier yet, although it could.
type waiting struct {
	space *space
	index uint32
}

// view puts in what stands on the links.
func (r *reading) view(v *spaceView) {
	ns := v.space.name
	switch {
	case v.space.own:
		r.put(Namespace{Name: ns})
	case ns != "":
		r.put(Namespace{Name: ns, From: v.space.from})
	}
	for _, l := range v.links {
		if l.Up() && (v.ours[l.Index] || v.space.own && l.Name == "lo") {
			r.put(Up{ns, l.Name})
		}
		r.port(v, l)
	}
	six := map[uint32]bool{}
	for _, a := range v.addrs {
		if v.ours[a.Link] && given(a) {
			r.put(Address{ns, v.names[a.Link], a.Prefix})
			six[a.Link] = six[a.Link] || a.Is6()
		}
	}
	for _, l := range v.links {
		if v.ours[l.Index] && l.Master == 0 && l.AddrGenMode != nil && *l.AddrGenMode == addrGenNone && !six[l.Index] {
			r.quiet(v, l.Name)
		}
	}
	for _, n := range v.neighs {
		if v.ours[n.Link] && n.State&unix.NUD_PERMANENT != 0 && !n.Proxy() && len(n.LLAddr) == len(MAC{}) {
			r.put(Neigh{ns, v.names[n.Link], n.Addr, MAC([]byte(n.LLAddr))})
		}
	}
	for _, n := range v.netems {
		if v.ours[n.Link] {
			r.put(Qdisc{ns, v.names[n.Link], Impairment{n.Delay, n.Jitter, n.Loss, n.Rate}})
		}
	}
	for _, name := range v.plain {
		r.put(NoOffload{ns, name})
	}
	for _, m := range v.vlans {
		if v.ours[m.Link] {
			r.put(BridgeVLAN{NS: ns, Link: v.names[m.Link], ID: m.ID, Untagged: m.Untagged, PVID: m.PVID})
		}
	}
	for _, route := range v.routes {
		r.route(v, route)
	}
	v.space.bare = true
	for _, rule := range v.rules {
		if o := objectOf(ns, rule.Rule); o != nil {
			v.space.bare = false
			r.put(o)
		}
	}
	for name, value := range v.values {
		r.put(Sysctl{ns, name, value})
	}
	r.leftover(v)
	for name, text := range v.space.files {
		r.put(File{ns, name, text})
	}
}

// quiet puts in that a link is, unless that is a setting's.
func (r *reading) quiet(v *spaceView, link string) {
	for name := range v.wanted.settings {
		if of, _, ok := settingOf6(name); ok && of == link {
			return
		}
	}
	r.put(Quiet{v.space.name, link})
}

// nothingOf6 is what there is of IPv6 where the kernel speaks none of it: all is quiet.
func (r *reading) nothingOf6(want State) {
	for _, o := range want {
		if q, ok := o.(Quiet); ok {
			r.put(q)
		}
	}
}

// leftover finds the lab's records whose subject is gone without us.
func (r *reading) leftover(v *spaceView) {
	routes := map[string]bool{}
	for _, in := range v.routes {
		routes[routeRecord(r.lab, v.route(in))] = true
	}
	for _, l := range v.links {
		for _, name := range l.AltNames {
			record, ours := strings.CutPrefix(name, Mark(r.lab)+":")
			word, value, _ := strings.Cut(record, "=")
			there := true
			switch {
			case word == "port":
				there = l.Master != 0
			case l.Name != "lo":
			case word == "route":
				there = routes[name]
			case word == "ra":
				there = slices.ContainsFunc(v.links, func(l rtnl.Link) bool { return l.Name == recordText.Replace(value) })
			case strings.HasPrefix(word, "net."):
				_, there = v.values[recordText.Replace(word)]
			}
			if ours && !there {
				v.space.leftover = append(v.space.leftover, leftover{l.Name, name})
			}
		}
	}
}

// given tells whether somebody gave the link the address: the kernel makes
// link-local ones itself, and routers advertise others.
func given(a rtnl.Addr) bool {
	if a.Flags&unix.IFA_F_PERMANENT == 0 || a.Anycast {
		return false
	}
	return !a.Prefix.Addr().Is6() || !a.Prefix.Addr().IsLinkLocalUnicast() || a.Flags&unix.IFA_F_NODAD != 0
}

func (r *reading) port(v *spaceView, l rtnl.Link) {
	if _, was := findRecord(l.AltNames, portRecord(r.lab)); was != "" && l.Master != 0 {
		r.put(Port{v.space.name, l.Name, v.names[l.Master]})
	}
}

func (r *reading) route(v *spaceView, in rtnl.Route) {
	if in.Protocol != RouteProtocol {
		return
	}
	out := v.route(in)
	if !v.space.own && !slices.Contains(v.lo().AltNames, routeRecord(r.lab, out)) {
		return
	}
	r.put(out)
}

// route is a route as an object.
func (v *spaceView) route(in rtnl.Route) Route {
	out := Route{NS: v.space.name, Dst: in.Dst, Src: in.PrefSrc, Table: in.Table, Metric: in.Metric, MTU: int(in.Metrics.Values[unix.RTAX_MTU])}
	for name, number := range routeNumbers {
		if number == in.Type {
			out.Type = name
		}
	}
	if in.Type == unix.RTN_UNICAST {
		hops := in.Hops
		if len(hops) == 0 {
			hops = []rtnl.Hop{{Gateway: in.Gateway, Link: in.Link, Flags: uint8(in.Flags)}}
		}
		out.Type, out.Hops = "", JoinHops(v.hops(hops)...)
	}
	return out.normal().(Route)
}

func (v *spaceView) hops(in []rtnl.Hop) (hops []Hop) {
	for _, h := range in {
		hops = append(hops, Hop{Via: h.Gateway, Device: v.names[h.Link], Weight: h.Weight, Onlink: h.Flags&unix.RTNH_F_ONLINK != 0})
	}
	return hops
}
