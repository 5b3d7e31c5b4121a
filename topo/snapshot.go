//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// Snapshot reads what the lab has in the kernel: what carries its mark. want, which
// may be nil, tells which settings are looked at that the lab did not have to
// change: they count as there if they are as wanted.
func (k *Kernel) Snapshot(want State) (State, error) {
	return k.snapshot(want, func(*space) bool { return true }, true)
}

// snapshot reads anew those namespaces that are said to be touched; the others are as they
// were when they were read last, for the same want, but for the files that were written
// since. Programs are looked for if that is said.
func (k *Kernel) snapshot(want State, touched func(*space) bool, programs bool) (State, error) {
	wanted := wishesOf(want)
	var all []process
	var allErr error
	var beside sync.WaitGroup
	if programs {
		beside.Go(func() { all, allErr = allProcesses() })
	}
	look := func(s *space, entered error) error { return k.look(s, wanted[s.name], entered) }
	err := k.discover(look, func(s *space) bool { return s.view == nil || touched(s) })
	beside.Wait()
	if err := errors.Join(err, allErr); err != nil {
		return nil, err
	}
	r := &reading{lab: k.lab, state: make(State, len(want))}
	for _, s := range k.spaces {
		clear(s.view.ours)
		r.views = append(r.views, s.view)
	}
	r.links()
	r.all()
	k.unready = r.unready
	if programs {
		k.programs = k.ownAmong(all)
	}
	r.running(k.programs)
	if !k.ipv6 {
		r.nothingOf6(want)
	}
	return r.state, nil
}

// look reads a namespace, which the thread is in if it could enter it. One that is to go
// whole need not be legible.
func (k *Kernel) look(s *space, wanted wishes, err error) error {
	v := &spaceView{space: s, wanted: wanted}
	s.view = nil
	if err == nil {
		err = k.read(v)
	}
	if err != nil && k.leaving && s.own {
		*v = spaceView{space: s, ours: map[uint32]bool{}}
		err = k.readFiles(v)
	}
	if err == nil {
		s.view = v
	}
	return err
}

// wishes are the settings and the texts of files that are wanted in a namespace, by their names.
type wishes struct{ settings, files map[string]string }

// wishesOf are the wishes of a state, by namespaces.
func wishesOf(want State) map[string]wishes {
	wanted := map[string]wishes{}
	for _, o := range want {
		switch x := o.(type) {
		case Sysctl:
			w := wanted[x.NS]
			w.settings = with(w.settings, x.Name, x.Value)
			wanted[x.NS] = w
		case File:
			w := wanted[x.NS]
			w.files = with(w.files, x.Name, x.Content)
			wanted[x.NS] = w
		}
	}
	return wanted
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		return map[string]string{key: value}
	}
	m[key] = value
	return m
}

// A spaceView is what a namespace has.
type spaceView struct {
	space  *space
	wanted wishes // settings to look at, and what they and files should be
	links  []rtnl.Link
	names  map[uint32]string // of links by index
	ours   map[uint32]bool   // the lab's links
	addrs  []rtnl.Addr
	routes []rtnl.Route
	neighs []rtnl.Neigh
	netems []rtnl.Netem
	plain  []string // names of links that fill in their checksums themselves
	vlans  []rtnl.PortVLAN
	rules  []nft.Counted
	values map[string]string // of settings
	files  map[string]string
}

// read reads a namespace, which the thread is in.
func (k *Kernel) read(v *spaceView) (err error) {
	c := v.space.conn
	if v.links, err = k.linksOf(c); err != nil {
		return err
	}
	v.meetLinks()
	k.nameMachine(v)
	if v.addrs, err = c.Addrs(rtnl.AddrFilter{}); err != nil {
		return err
	}
	v.routes, err = c.Routes(rtnl.RouteFilter{AllTables: true, Protocol: RouteProtocol})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if v.neighs, err = c.Neighs(rtnl.NeighFilter{}); err != nil {
		return err
	}
	if err := errors.Join(v.readRare(), k.readOffloads(v)); err != nil {
		return err
	}
	if err := k.readRules(v); err != nil {
		return err
	}
	if err := k.readSettings(v); err != nil {
		return err
	}
	return k.readFiles(v)
}

// linksOf lists the links of a namespace, without counters unless the kernel leaves out with
// them whether a link is quiet: it tells that of lo, too.
func (k *Kernel) linksOf(c *rtnl.Conn) ([]rtnl.Link, error) {
	counts := k.counts.Load()
	links, err := c.Links(rtnl.LinkFilter{NoStats: !counts})
	tells := slices.ContainsFunc(links, func(l rtnl.Link) bool { return l.AddrGenMode != nil })
	if err != nil || tells || counts || !k.ipv6 {
		return links, err
	}
	k.counts.Store(true) // of others that are read at the same time, each finds out by itself
	return c.Links(rtnl.LinkFilter{})
}

// nameMachine finds out what number the machine has here, if a link's peer or parent is
// elsewhere: it will be asked for, and here many can be asked at once.
func (k *Kernel) nameMachine(v *spaceView) {
	if v.space.name != "" && slices.ContainsFunc(v.links, func(l rtnl.Link) bool { return l.ParentNSID != nil }) {
		_, _ = v.space.nsid(k.machine()) // who needs it and has it not, asks again
	}
}

// readRules reads the lab's rules, for which most hosts need no socket.
func (k *Kernel) readRules(v *spaceView) error {
	if v.space.rules == nil && nft.Untouched() {
		return nil
	}
	rules, err := v.space.nft()
	if err != nil {
		return err
	}
	v.rules, err = rules.Read(RuleTable(k.lab))
	return err
}

// readRare reads what few namespaces have: the links tell which.
func (v *spaceView) readRare() (err error) {
	c := v.space.conn
	if slices.ContainsFunc(v.links, func(l rtnl.Link) bool { return l.Qdisc == "netem" }) {
		if v.netems, err = c.Netems(); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(v.links, func(l rtnl.Link) bool { return optionNumber(l.Kind.Options, "vlan_filtering") != 0 }) {
		v.vlans, err = c.PortVLANs()
	}
	return err
}

// meetLinks remembers the links' names and indexes afresh.
func (v *spaceView) meetLinks() {
	v.names, v.ours = make(map[uint32]string, len(v.links)), map[uint32]bool{}
	v.space.mu.Lock()
	defer v.space.mu.Unlock()
	clear(v.space.index)
	v.space.countFrom(v.links)
	for _, l := range v.links {
		v.names[l.Index] = l.Name
		v.space.index[l.Name] = l.Index
	}
}

// lo is the namespace's loopback link, which holds what is remembered.
func (v *spaceView) lo() rtnl.Link { return loOf(v.links) }

func loOf(links []rtnl.Link) rtnl.Link {
	for _, l := range links {
		if l.Name == "lo" {
			return l
		}
	}
	return rtnl.Link{}
}

// readSettings reads the settings that the lab changed, and those wanted.
func (k *Kernel) readSettings(v *spaceView) error {
	names := map[string]bool{} // whether the lab's, or another's
	lo := v.lo()
	for _, alt := range lo.AltNames {
		if rest, ok := strings.CutPrefix(alt, Mark(k.lab)+":net."); ok {
			name, _, _ := strings.Cut(rest, "=")
			names["net."+recordText.Replace(name)] = true
		}
	}
	for name := range v.wanted.settings {
		if !names[name] {
			names[name] = false
		}
	}
	if len(names) == 0 {
		return nil
	}
	v.values = make(map[string]string, len(names))
	for name, changed := range names {
		value, err := nsfs.Sysctl(sysctlKey(name))
		if _, wanted := v.wanted.settings[name]; errors.Is(err, fs.ErrNotExist) || err != nil && !wanted {
			continue // a link's, that is not there yet, or no longer; or none, and somebody only wrote so
		}
		if err != nil {
			return err
		}
		value = Sysctl{Name: name, Value: value}.normal().(Sysctl).Value
		if changed || value == v.wanted.settings[name] && recordOfOthers(lo.AltNames, k.lab, name) == "" {
			v.values[name] = value
		}
	}
	return nil
}

// running puts in programs.
func (r *reading) running(programs []process) {
	for _, p := range programs {
		for _, v := range r.views {
			if v.space.id == p.ns {
				r.state.put(Process{NS: v.space.name, Command: p.command})
			}
		}
	}
}

// A reading makes a state of views.
type reading struct {
	lab     string
	views   []*spaceView
	state   State
	unready []waiting
}

// all puts in all views, several at once.
func (r *reading) all() {
	parts := make([]State, len(r.views))
	inParallel(workers, len(parts), func(i int) {
		part := reading{lab: r.lab, state: State{}}
		part.view(r.views[i])
		parts[i] = part.state
	})
	for _, part := range parts {
		maps.Copy(r.state, part)
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
		r.state.put(Namespace{Name: ns})
	case ns != "":
		r.state.put(Namespace{Name: ns, From: v.space.from})
	}
	for _, l := range v.links {
		if l.Up() && (v.ours[l.Index] || v.space.own && l.Name == "lo") {
			r.state.put(Up{ns, l.Name})
		}
		r.port(v, l)
	}
	six := map[uint32]bool{}
	for _, a := range v.addrs {
		if v.ours[a.Link] && given(a) {
			r.state.put(Address{ns, v.names[a.Link], a.Prefix})
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
			r.state.put(Neigh{ns, v.names[n.Link], n.Addr, MAC([]byte(n.LLAddr))})
		}
	}
	for _, n := range v.netems {
		if v.ours[n.Link] {
			r.state.put(Qdisc{ns, v.names[n.Link], Impairment{n.Delay, n.Jitter, n.Loss, n.Rate}}.normal())
		}
	}
	for _, name := range v.plain {
		r.state.put(NoOffload{ns, name})
	}
	for _, m := range v.vlans {
		if v.ours[m.Link] {
			r.state.put(BridgeVLAN{NS: ns, Link: v.names[m.Link], ID: m.ID, Untagged: m.Untagged, PVID: m.PVID})
		}
	}
	for _, route := range v.routes {
		r.route(v, route)
	}
	v.space.bare = true
	for _, rule := range v.rules {
		if o := objectOf(ns, rule.Rule); o != nil {
			v.space.bare = false
			r.state.put(o)
		}
	}
	for name, value := range v.values {
		r.state.put(Sysctl{ns, name, value})
	}
	r.leftover(v)
	for name, text := range v.files {
		r.state.put(File{ns, name, text})
	}
}

// quiet puts in that a link is, unless that is a setting's.
func (r *reading) quiet(v *spaceView, link string) {
	for name := range v.wanted.settings {
		if of, ok := settingOf6(name); ok && of == link {
			return
		}
	}
	r.state.put(Quiet{v.space.name, link})
}

// nothingOf6 is what there is of IPv6 where the kernel speaks none of it: all is quiet.
func (r *reading) nothingOf6(want State) {
	for _, o := range want {
		if q, ok := o.(Quiet); ok {
			r.state.put(q)
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
		r.state.put(Port{v.space.name, l.Name, v.names[l.Master]})
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
	r.state.put(out)
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
