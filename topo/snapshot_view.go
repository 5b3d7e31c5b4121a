//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// moreTouched is how much longer it takes to read a link by itself than in the list of all.
const moreTouched = 2

// look reads a namespace, which the thread is in if it could enter it. One that is to go
// whole need not be legible.
func (k *Kernel) look(v *spaceView, err error) error {
	s := v.space
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
	// touched are the names of those to read again, as the others are in links; nil if that
	// has none yet.
	touched map[string]bool
	names   map[uint32]string // of links by index
	ours    map[uint32]bool   // the lab's links
	addrs   []rtnl.Addr
	routes  []rtnl.Route
	neighs  []rtnl.Neigh
	netems  []rtnl.Netem
	plain   []string // names of links that fill in their checksums themselves
	vlans   []rtnl.PortVLAN
	rules   []nft.Counted
	values  map[string]string // of settings
	filed   bool              // files are as they were read, or written, last
}

// read reads a namespace, which the thread is in.
func (k *Kernel) read(v *spaceView) (err error) {
	c := v.space.conn
	if v.touched != nil {
		v.links, err = linksAgain(c, v.links, v.touched)
	} else {
		v.links, err = k.linksOf(c)
	}
	if err != nil {
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
	if v.filed {
		return nil
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

// linksAgain are the links as they were, but for some that are read.
func linksAgain(c *rtnl.Conn, links []rtnl.Link, touched map[string]bool) ([]rtnl.Link, error) {
	links = slices.DeleteFunc(slices.Clone(links), func(l rtnl.Link) bool { return touched[l.Name] })
	for _, name := range slices.SortedFunc(maps.Keys(touched), compareNames) {
		l, err := c.Link(rtnl.LinkID{Name: name})
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case l.Name == name: // and not another's further one
			links = append(links, l)
		}
	}
	return links, nil
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
