package live

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/hostfile"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// A reader reads the state of a lab from the kernel.
type reader struct {
	table    *netns.Table
	files    *hostfile.Files
	programs *program.Finder
	// withCounters means that links are listed with their counters; see linksOf.
	withCounters atomic.Bool
	// prefetched delivers the names of namespaces if PrefetchNames was called.
	prefetched <-chan namedCandidates
	// goingDown is set during Down. Then a namespace of the lab is deleted even if vnet
	// cannot read it: root inside it could prevent that.
	goingDown bool

	// The last snapshot, and what was expected then.
	have, want topo.State
	// snapshots are what was read in the namespaces for it.
	snapshots lastSnapshots
	// withoutCarrier are the links without carrier at that time.
	withoutCarrier []carrierWait
	// trees are the bridges with a spanning tree at that time.
	trees []spanningTree
	// staleNames are the lab's namespace names without a namespace at that time.
	staleNames []string
	// lostAdopted are the records of adopted namespaces that did not exist at that time.
	lostAdopted []staleRecord
}

// A staleRecord is a record (an alternative name of a link) of an object that no longer exists, such as a route
// deleted with its link or a namespace deleted with its container.
type staleRecord struct{ link, name string }

func newReader(t *netns.Table) *reader {
	return &reader{table: t, files: hostfile.New(t), programs: program.NewFinder(t.Lab, t.IDs())}
}

// singleReadCost is how many times longer one link takes to read alone than in a list.
const singleReadCost = 2

// readNetns reads a namespace. The calling thread is in it, unless entered is an error. When
// the lab is being taken down, a namespace of the lab need not be readable.
func (rd *reader) readNetns(v *netnsSnapshot, entered error) error {
	s, err := v.handle, entered
	rd.snapshots.set(s, nil)
	if err == nil {
		err = rd.read(v)
	}
	if err != nil && rd.goingDown && s.Own {
		*v = netnsSnapshot{handle: s, inLab: map[uint32]bool{}}
		err = rd.readFiles(v)
	}
	if err == nil {
		rd.snapshots.set(s, v)
	}
	return err
}

// wantedValues has the wanted settings and files of a namespace, by name, and whether it wants rules or proxy entries.
type wantedValues struct {
	settings, files map[string]string
	rules, proxies  bool
}

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
		case topo.Rule:
			w := wanted[x.NS]
			w.rules = true
			wanted[x.NS] = w
		case topo.Neigh:
			w := wanted[x.NS]
			w.proxies = w.proxies || x.Proxy
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
	netns.Snapshot
	handle *netns.Handle
	wanted wantedValues // settings to read, and the wanted values of settings and files
	// touched has the names of the links to read again; the others in links are still
	// correct. nil means that links is empty.
	touched    map[string]bool
	inLab      map[uint32]bool // the lab's links
	routes     []rtnl.Route
	ipRules    []rtnl.Rule // of policy routing
	netems     []rtnl.Netem
	noOffload  []string // names of links without transmit checksum offload
	vlans      []rtnl.PortVLAN
	rules      []nft.CountedRule
	natTable   nft.TableState    // of the lab
	values     map[string]string // of settings
	filesKnown bool              // the handle has the current files

	staleRecords    []staleRecord // the lab's
	emptyTable      bool          // the lab has an nftables table without rules of the lab
	unfinishedFiles []string      // the paths of the lab's partly written files
}

// lastSnapshots has the last complete snapshots of the namespaces.
type lastSnapshots struct {
	mu sync.Mutex
	of map[*netns.Handle]*netnsSnapshot
}

// get returns the snapshot of a namespace; nil if there is none.
func (l *lastSnapshots) get(h *netns.Handle) *netnsSnapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[h]
}

// set replaces the snapshot of a namespace; nil removes it.
func (l *lastSnapshots) set(h *netns.Handle, v *netnsSnapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v == nil {
		delete(l.of, h)
		h.Snapshot = nil
		return
	}
	if l.of == nil {
		l.of = map[*netns.Handle]*netnsSnapshot{}
	}
	l.of[h], h.Snapshot = v, &v.Snapshot
}

// keep removes the snapshots of all other namespaces.
func (l *lastSnapshots) keep(handles map[string]*netns.Handle) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.of, func(h *netns.Handle, _ *netnsSnapshot) bool { return handles[h.Name] != h })
}

// read reads the namespace that the calling thread is in.
func (rd *reader) read(v *netnsSnapshot) (err error) {
	c := v.handle.Conn
	if v.touched != nil {
		v.Links, err = rereadLinks(c, v.Links, v.touched)
	} else {
		v.Links, err = rd.linksOf(c)
	}
	if err != nil {
		return err
	}
	v.indexLinks()
	rd.prefetchMachineID(v)
	if err := v.readOnLinks(rd.table.Lab, rtnl.RouteFilter{AllTables: true, Protocol: mark.Protocol}); err != nil {
		return err
	}
	if err := errors.Join(v.readRare(), rd.readIPRules(v), rd.readOffloads(v)); err != nil {
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
	return rd.readFiles(v)
}

// readFiles reads the lab's files for /etc.
func (rd *reader) readFiles(v *netnsSnapshot) (err error) {
	v.unfinishedFiles, err = rd.files.Read(v.handle, v.wanted.files)
	return err
}

// readOnLinks reads addresses, neighbours and the routes that the filter selects. It reads proxy entries only if the
// lab has or wants any. The lab "" stands for all.
func (v *netnsSnapshot) readOnLinks(lab string, routes rtnl.RouteFilter) (err error) {
	c := v.handle.Conn
	if v.Addrs, err = c.Addrs(rtnl.AddrFilter{}); err != nil {
		return err
	}
	v.routes, err = c.Routes(routes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if v.Neighs, err = c.Neighs(rtnl.NeighFilter{}); err != nil {
		return err
	}
	if record, _ := mark.Find(v.Lo().AltNames, mark.ProxyPrefix(lab)); lab != "" && record == "" && !v.wanted.proxies {
		return nil
	}
	proxies, err := c.Neighs(rtnl.NeighFilter{Proxy: true})
	v.Neighs = append(v.Neighs, proxies...)
	return err
}

// readIPRules reads the rules of policy routing, if there are records of them or wanted ones.
func (rd *reader) readIPRules(v *netnsSnapshot) (err error) {
	record, _ := mark.Find(v.Lo().AltNames, mark.Rule(rd.table.Lab, ""))
	if record != "" || v.wanted.rules {
		v.ipRules, err = v.handle.Conn.Rules(0)
	}
	return err
}

// linksOf lists the links of a namespace. It asks without counters first. Some kernels then
// leave out addrgenmode too, even that of lo; there it asks again with counters.
func (rd *reader) linksOf(c *rtnl.Conn) ([]rtnl.Link, error) {
	counts := rd.withCounters.Load()
	links, err := c.Links(rtnl.LinkFilter{NoStats: !counts})
	known := slices.ContainsFunc(links, func(l rtnl.Link) bool { return l.AddrGenMode != nil })
	if err != nil || known || counts || !rd.table.IPv6 {
		return links, err
	}
	rd.withCounters.Store(true) // namespaces read at the same time may ask twice too
	return c.Links(rtnl.LinkFilter{})
}

// rereadLinks returns links with the touched ones read again.
func rereadLinks(c *rtnl.Conn, links []rtnl.Link, touched map[string]bool) ([]rtnl.Link, error) {
	links = slices.DeleteFunc(slices.Clone(links), func(l rtnl.Link) bool { return touched[l.Name] })
	for _, name := range naming.Sorted(touched) {
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
	if v.handle.Name != "" && slices.ContainsFunc(v.Links, func(l rtnl.Link) bool { return l.ParentNSID != nil }) {
		_, _ = v.handle.NSID(rd.table.Machine()) // on an error, nsid asks again later
	}
}

// readRules reads the lab's NAT rules. Most hosts need no nftables socket for that.
func (rd *reader) readRules(v *netnsSnapshot) error {
	if !v.handle.HasNFT() && nft.Untouched() {
		return nil
	}
	rules, err := v.handle.NFT()
	if err != nil {
		return err
	}
	v.rules, v.natTable, err = rules.Rules(mark.Table(rd.table.Lab))
	return err
}

// readRare reads what only few namespaces have. It reads it only if the links show that it exists.
func (v *netnsSnapshot) readRare() (err error) {
	c := v.handle.Conn
	if slices.ContainsFunc(v.Links, func(l rtnl.Link) bool { return l.Qdisc == "netem" }) {
		if v.netems, err = c.Netems(); err != nil {
			return err
		}
	}
	filters := func(l rtnl.Link) bool { return convert.OptionNumber(l.Kind.Options, "vlan_filtering") != 0 }
	if slices.ContainsFunc(v.Links, filters) {
		v.vlans, err = c.PortVLANs()
	}
	return err
}

// indexLinks fills the maps of the links' names and indexes.
func (v *netnsSnapshot) indexLinks() {
	v.Names, v.inLab = make(map[uint32]string, len(v.Links)), map[uint32]bool{}
	v.handle.SetIndexes(v.Links)
	for _, l := range v.Links {
		v.Names[l.Index] = l.Name
	}
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

// readSettings reads the settings that the lab changed, and the wanted ones.
func (rd *reader) readSettings(v *netnsSnapshot) error {
	names := map[string]bool{} // whether the lab has changed it
	lo := v.Lo()
	for _, alt := range lo.AltNames {
		if rest, ok := strings.CutPrefix(alt, mark.Of(rd.table.Lab)+":net."); ok {
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
		value, err := nsfs.Sysctl(setting.Key(name))
		_, wanted := v.wanted.settings[name]
		if errors.Is(err, fs.ErrNotExist) || err != nil && !wanted && v.handle.Name != "" && !isShortage(err) {
			continue // the link does not exist; or root in the namespace wrote a wrong record
		}
		if err != nil {
			return err // the setting may exist, so its record must remain
		}
		value = topo.Normalize(topo.Sysctl{Name: name, Value: value}).(topo.Sysctl).Value
		if changed {
			if value, err = setting.WithGuard(v.handle, v.Lo(), rd.table.Lab, name, value); err != nil {
				return err
			}
		}
		if !changed && value == v.wanted.settings[name] {
			// Another lab may have set it after the links were read: then its record is newer, too.
			if lo, err = v.handle.Conn.Link(rtnl.LinkID{Name: "lo"}); err != nil {
				return err
			}
		}
		// If another lab's record has the wanted value, that lab will restore this value: this lab
		// need not set it.
		former, shared := mark.Foreign(lo.AltNames, rd.table.Lab, name)
		lasts := !shared || strings.ReplaceAll(former, "+", " ") == value
		if changed || value == v.wanted.settings[name] && lasts {
			v.values[name] = value
		}
	}
	return nil
}
