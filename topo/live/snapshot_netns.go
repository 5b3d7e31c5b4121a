package live

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// A reader reads the state of a lab from the kernel.
type reader struct {
	*handleTable
	files    *labFiles
	programs *programFinder
	// withCounters means that links are listed with their counters; see linksOf.
	withCounters atomic.Bool
	// prefetched delivers the names of namespaces if PrefetchNames was called.
	prefetched <-chan namedCandidates
	// goingDown is set during Down. Then a namespace of the lab is deleted even if it
	// cannot be read: root inside it could prevent reading.
	goingDown bool

	// The last snapshot, and what was expected then.
	have, want topo.State
	// withoutCarrier are the links without carrier at that time.
	withoutCarrier []carrierWait
	// trees are the bridges with a spanning tree at that time.
	trees []spanningTree
	// staleNames are the lab's namespace names without a namespace at that time.
	staleNames []string
}

func newReader(t *handleTable) *reader {
	return &reader{handleTable: t, files: &labFiles{handleTable: t}, programs: &programFinder{handleTable: t}}
}

// singleReadCost is how many times longer one link takes to read alone than in a list.
const singleReadCost = 2

// readNetns reads a namespace. The calling thread is in it, unless entered is an error. When
// the lab is being taken down, a namespace of the lab need not be readable.
func (rd *reader) readNetns(v *netnsSnapshot, entered error) error {
	s, err := v.handle, entered
	s.snapshot = nil
	if err == nil {
		err = rd.read(v)
	}
	if err != nil && rd.goingDown && s.own {
		*v = netnsSnapshot{handle: s, inLab: map[uint32]bool{}}
		err = rd.files.readFiles(v)
	}
	if err == nil {
		s.snapshot = v
	}
	return err
}

// wantedValues has the wanted settings and files of a namespace, by name.
type wantedValues struct{ settings, files map[string]string }

// wantedValuesOf returns the wanted values of a state, by namespace.
func wantedValuesOf(want topo.State) map[string]wantedValues {
	wanted := map[string]wantedValues{}
	for _, o := range want {
		switch x := o.(type) {
		case topo.Sysctl:
			w := wanted[x.NS]
			w.settings = with(w.settings, x.Name, x.Value)
			wanted[x.NS] = w
		case topo.File:
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

// A netnsSnapshot is what was read in a namespace.
type netnsSnapshot struct {
	handle *netnsHandle
	wanted wantedValues // settings to read, and the wanted values of settings and files
	links  []rtnl.Link
	// touched has the names of the links to read again; the others in links are still
	// correct. nil means that links is empty.
	touched    map[string]bool
	names      map[uint32]string // of links by index
	inLab      map[uint32]bool   // the lab's links
	addrs      []rtnl.Addr
	routes     []rtnl.Route
	neighs     []rtnl.Neigh
	netems     []rtnl.Netem
	noOffload  []string // names of links without transmit checksum offload
	vlans      []rtnl.PortVLAN
	rules      []nft.CountedRule
	values     map[string]string // of settings
	filesKnown bool              // the handle has the current files
}

// read reads the namespace that the calling thread is in.
func (rd *reader) read(v *netnsSnapshot) (err error) {
	c := v.handle.conn
	if v.touched != nil {
		v.links, err = rereadLinks(c, v.links, v.touched)
	} else {
		v.links, err = rd.linksOf(c)
	}
	if err != nil {
		return err
	}
	v.indexLinks()
	rd.prefetchMachineID(v)
	if err := v.readOnLinks(rtnl.RouteFilter{AllTables: true, Protocol: mark.Protocol}); err != nil {
		return err
	}
	if err := errors.Join(v.readRare(), rd.readOffloads(v)); err != nil {
		return err
	}
	if err := rd.readRules(v); err != nil {
		return err
	}
	if err := rd.readSettings(v); err != nil {
		return err
	}
	if v.filesKnown {
		return nil
	}
	return rd.files.readFiles(v)
}

// readOnLinks reads addresses, neighbours and the routes that the filter selects.
func (v *netnsSnapshot) readOnLinks(routes rtnl.RouteFilter) (err error) {
	c := v.handle.conn
	if v.addrs, err = c.Addrs(rtnl.AddrFilter{}); err != nil {
		return err
	}
	v.routes, err = c.Routes(routes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	v.neighs, err = c.Neighs(rtnl.NeighFilter{})
	return err
}

// linksOf lists the links of a namespace. It asks without counters first. Some kernels then
// leave out addrgenmode too, even that of lo; there it asks again with counters.
func (rd *reader) linksOf(c *rtnl.Conn) ([]rtnl.Link, error) {
	counts := rd.withCounters.Load()
	links, err := c.Links(rtnl.LinkFilter{NoStats: !counts})
	known := slices.ContainsFunc(links, func(l rtnl.Link) bool { return l.AddrGenMode != nil })
	if err != nil || known || counts || !rd.ipv6 {
		return links, err
	}
	rd.withCounters.Store(true) // namespaces read at the same time may ask twice too
	return c.Links(rtnl.LinkFilter{})
}

// rereadLinks returns links with the touched ones read again.
func rereadLinks(c *rtnl.Conn, links []rtnl.Link, touched map[string]bool) ([]rtnl.Link, error) {
	links = slices.DeleteFunc(slices.Clone(links), func(l rtnl.Link) bool { return touched[l.Name] })
	for _, name := range slices.SortedFunc(maps.Keys(touched), naming.Compare) {
		l, err := c.Link(rtnl.LinkID{Name: name})
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case l.Name == name: // not another link's alternative name
			links = append(links, l)
		}
	}
	return links, nil
}

// prefetchMachineID reads the machine's nsid in this namespace if a link's peer or parent is
// in another one. It will be needed, and here it is read for many namespaces in parallel.
func (rd *reader) prefetchMachineID(v *netnsSnapshot) {
	if v.handle.name != "" && slices.ContainsFunc(v.links, func(l rtnl.Link) bool { return l.ParentNSID != nil }) {
		_, _ = v.handle.nsid(rd.machine()) // on an error, nsid asks again later
	}
}

// readRules reads the lab's NAT rules. Most hosts need no nftables socket for that.
func (rd *reader) readRules(v *netnsSnapshot) error {
	if v.handle.nftConn == nil && nft.Untouched() {
		return nil
	}
	rules, err := v.handle.nft()
	if err != nil {
		return err
	}
	v.rules, err = rules.Read(mark.Table(rd.lab))
	return err
}

// readRare reads what only few namespaces have. It reads it only if the links show that it exists.
func (v *netnsSnapshot) readRare() (err error) {
	c := v.handle.conn
	if slices.ContainsFunc(v.links, func(l rtnl.Link) bool { return l.Qdisc == "netem" }) {
		if v.netems, err = c.Netems(); err != nil {
			return err
		}
	}
	filters := func(l rtnl.Link) bool { return optionNumber(l.Kind.Options, "vlan_filtering") != 0 }
	if slices.ContainsFunc(v.links, filters) {
		v.vlans, err = c.PortVLANs()
	}
	return err
}

// indexLinks fills the maps of the links' names and indexes.
func (v *netnsSnapshot) indexLinks() {
	v.names, v.inLab = make(map[uint32]string, len(v.links)), map[uint32]bool{}
	v.handle.mu.Lock()
	defer v.handle.mu.Unlock()
	clear(v.handle.linkIndexes)
	v.handle.chooseNextIndex(v.links)
	for _, l := range v.links {
		v.names[l.Index] = l.Name
		v.handle.linkIndexes[l.Name] = l.Index
	}
}

// lo returns the namespace's loopback link, which has the records.
func (v *netnsSnapshot) lo() rtnl.Link { return loOf(v.links) }

func loOf(links []rtnl.Link) rtnl.Link {
	for _, l := range links {
		if l.Name == "lo" {
			return l
		}
	}
	return rtnl.Link{}
}

// isShortage reports whether an error may disappear by itself: the system has too few file descriptors
// or too little memory at the moment, or the call was interrupted.
func isShortage(err error) bool {
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EINTR, unix.EAGAIN} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// withGuard returns the value of a sysctl, and appends the text unguarded if its guard is missing.
func (rd *reader) withGuard(v *netnsSnapshot, name, value string) (string, error) {
	u := settingUse{handle: v.handle, lo: v.lo(), name: name}
	u.record, _ = mark.Find(u.lo.AltNames, mark.Sysctl(rd.lab, name))
	if !u.needsGuard(rd.lab) {
		return value, nil
	}
	guarded, err := v.handle.isGuarded(name)
	if err == nil && !guarded {
		value += unguarded
	}
	return value, err
}

// readSettings reads the settings that the lab changed, and the wanted ones.
func (rd *reader) readSettings(v *netnsSnapshot) error {
	names := map[string]bool{} // whether the lab has changed it
	lo := v.lo()
	for _, alt := range lo.AltNames {
		if rest, ok := strings.CutPrefix(alt, mark.Of(rd.lab)+":net."); ok {
			name, _, _ := strings.Cut(rest, "=")
			names["net."+mark.Unescaper.Replace(name)] = true
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
		_, wanted := v.wanted.settings[name]
		if errors.Is(err, fs.ErrNotExist) || err != nil && !wanted && v.handle.name != "" && !isShortage(err) {
			continue // the link does not exist; or root in the namespace wrote a wrong record
		}
		if err != nil {
			return err // the setting may exist, so its record must remain
		}
		value = topo.Normalize(topo.Sysctl{Name: name, Value: value}).(topo.Sysctl).Value
		if changed && value == "1" {
			if value, err = rd.withGuard(v, name, value); err != nil {
				return err
			}
		}
		if !changed && value == v.wanted.settings[name] {
			// Another lab may have set it after the links were read: then its record is newer, too.
			if lo, err = v.handle.conn.Link(rtnl.LinkID{Name: "lo"}); err != nil {
				return err
			}
		}
		// If another lab's record has the wanted value, that lab will restore this value: this lab
		// need not set it.
		former := cmp.Or(mark.Foreign(lo.AltNames, rd.lab, name), value)
		if changed || value == v.wanted.settings[name] && strings.ReplaceAll(former, "+", " ") == value {
			v.values[name] = value
		}
	}
	return nil
}
