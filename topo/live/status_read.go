package live

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"os"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// An Observer reads a lab and changes nothing. It does not wait for the lab's lock: it may
// see a lab while another process changes it.
type Observer struct {
	*reader
	names   *nsfs.Watcher
	watches map[nsfs.ID]*rtnl.Watcher
	changes chan struct{}
}

// Observe returns an Observer of a lab on the machine, whose namespace is the process's.
// The caller must call Close.
func Observe(lab string) (*Observer, error) {
	table := netns.NewTable(lab, nil)
	if _, err := table.OpenMachine(); err != nil {
		return nil, err
	}
	return &Observer{reader: newReader(table), changes: make(chan struct{}, 1)}, nil
}

// Close closes the observer and ends its goroutines.
func (o *Observer) Close() {
	if o.names != nil {
		o.names.Close()
	}
	for _, w := range o.watches {
		w.Close()
	}
	_ = o.table.Close() // there is no lock
}

// Status reads the lab. The drift is the difference from want; nil means no drift.
func (o *Observer) Status(want topo.State) (Status, error) {
	have, err := o.readAll(want)
	if err != nil {
		return Status{}, err
	}
	s := Status{Lab: o.table.Lab, At: time.Now(), Hosts: []HostStatus{}, Rules: []NATStatus{}, Drift: topo.Plan{}}
	if want != nil {
		s.Drift = topo.Diff(have, want)
	}
	inLab := map[topo.Key]bool{}
	for _, object := range have {
		if a, ok := object.(topo.Address); ok {
			inLab[topo.LinkKey(a.NS, a.Link)] = true // lo, too
		}
		for _, key := range append(topo.Provides(object), object.Key()) {
			if key.Kind == topo.OfPort { // an uplink: a link of the machine in a bridge of the lab
				key.Kind = topo.OfLink
			}
			inLab[key] = true
		}
	}
	for _, name := range o.hosts() {
		if err := s.addHost(o.table.Handles[name], mark.Table(o.table.Lab), inLab); err != nil {
			return s, err
		}
	}
	sort.SliceStable(s.Rules, func(i, j int) bool {
		a, b := s.Rules[i], s.Rules[j]
		return cmp.Or(naming.Compare(topo.NSOf(a.Host), topo.NSOf(b.Host)), naming.Compare(a.Text, b.Text)) < 0
	})
	return s, nil
}

// hosts returns the names of the lab's namespaces, the machine's first.
func (o *Observer) hosts() (names []string) {
	for name := range o.table.Handles {
		names = append(names, name)
	}
	naming.Sort(names)
	return names
}

func (s *Status) addHost(at *netns.Handle, table string, inLab map[topo.Key]bool) error {
	host := cmp.Or(at.Name, topo.Machine)
	links, err := labLinks(at, inLab)
	if err != nil {
		return err
	}
	if len(links) > 0 || at.Name != "" {
		s.Hosts = append(s.Hosts, HostStatus{host, links})
	}
	conn, err := at.NFT()
	if err != nil {
		return err
	}
	rules, err := conn.Read(table)
	for _, r := range rules {
		text := r.String() // for a foreign rule
		switch o := convert.Object("", r.Rule); o.(type) {
		case nil:
		case topo.OwnLink, topo.ClosedLink, topo.SourceGate, topo.HairpinFilter, topo.AntispoofPort,
			topo.PortAddress:
			continue // they protect the networks, and are not in the file
		default:
			text = o.String()
		}
		s.Rules = append(s.Rules, NATStatus{host, text, r.Packets, r.Bytes})
	}
	return err
}

// labLinks returns the lab's links in a namespace.
func labLinks(h *netns.Handle, inLab map[topo.Key]bool) ([]LinkStatus, error) {
	all, err := h.Conn.Links(rtnl.LinkFilter{})
	if err != nil {
		return nil, err
	}
	addrs, err := h.Conn.Addrs(rtnl.AddrFilter{})
	if err != nil {
		return nil, err
	}
	names := map[uint32]string{}
	for _, l := range all {
		names[l.Index] = l.Name
	}
	addrsOf := map[uint32][]netip.Prefix{}
	for _, a := range addrs {
		if netns.IsConfigured(a) && !a.Prefix.Addr().IsLoopback() {
			addrsOf[a.Link] = append(addrsOf[a.Link], a.Prefix)
		}
	}
	list := []LinkStatus{}
	for _, l := range all {
		if inLab[topo.LinkKey(h.Name, l.Name)] {
			list = append(list, LinkStatus{
				Name: l.Name, Kind: l.Kind.Name, Master: names[l.Master], State: stateOf(l),
				Addrs:    append([]netip.Prefix{}, addrsOf[l.Index]...),
				Received: Traffic{l.Stats.RxPackets, l.Stats.RxBytes, l.Stats.RxErrors + l.Stats.RxDropped},
				Sent:     Traffic{l.Stats.TxPackets, l.Stats.TxBytes, l.Stats.TxErrors + l.Stats.TxDropped},
			})
		}
	}
	sort.Slice(list, func(i, j int) bool { return naming.Compare(list[i].Name, list[j].Name) < 0 })
	return list, nil
}

func stateOf(l rtnl.Link) string {
	switch {
	case !l.Up():
		return "down"
	case l.Flags&unix.IFF_LOWER_UP == 0:
		return "no carrier"
	}
	return "up"
}

// watchedGroups are the groups whose messages report a change of a lab; see concerns.
var watchedGroups = []rtnl.Group{rtnl.GroupLink, rtnl.GroupAddr4, rtnl.GroupAddr6, rtnl.GroupRoute4, rtnl.GroupRoute6,
	rtnl.GroupRule4, rtnl.GroupRule6, rtnl.GroupNeigh, rtnl.GroupQdisc, rtnl.GroupSettings4, rtnl.GroupSettings6}

// concerns reports whether an event may be a change of a lab. The kernel itself adds and deletes neighbours that are
// neither permanent nor proxy entries. A lab's entry that was deleted has its mark to the last.
func concerns(e rtnl.Event) bool {
	n, ok := e.Object.(rtnl.Neigh)
	return !ok || n.Protocol == mark.Protocol || n.Proxy() || n.State&unix.NUD_PERMANENT != 0
}

// Changed waits until the kernel reports a change, so that the last Status may be out of
// date. It does not poll. It needs a call of Watch.
func (o *Observer) Changed(ctx context.Context) error {
	select {
	case <-o.changes:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Watch subscribes to changes in all the lab's namespaces, and to new namespaces. Call it
// after each Status, which may have found more namespaces. The next Changed returns at once
// if there are new ones: they may have changed before the subscription.
func (o *Observer) Watch() (err error) {
	if o.names == nil {
		if o.names, err = nsfs.Watch(); err != nil {
			return err
		}
		o.watches = map[nsfs.ID]*rtnl.Watcher{}
		go o.forwardEvents(func() error { _, err := o.names.Next(); return err })
	}
	found := map[nsfs.ID]bool{}
	for _, s := range o.table.Handles {
		found[s.ID] = true
		if o.watches[s.ID] != nil {
			continue
		}
		w, err := s.Watch(watchedGroups...)
		if err != nil {
			return err
		}
		o.watches[s.ID] = w
		o.notify() // it may have changed after it was read
		go o.forwardEvents(func() error { return nextChange(w) })
	}
	for id, w := range o.watches {
		if !found[id] {
			err = errors.Join(err, w.Close())
			delete(o.watches, id)
		}
	}
	return err
}

// nextChange waits for an event that may be a change of a lab.
func nextChange(w *rtnl.Watcher) error {
	for {
		if e, err := w.Next(context.Background()); err != nil || concerns(e) {
			return err
		}
	}
}

// forwardEvents notifies of each event until next fails.
func (o *Observer) forwardEvents(next func() error) {
	for next() == nil {
		o.notify()
	}
}

func (o *Observer) notify() {
	select {
	case o.changes <- struct{}{}:
	default: // a notification is pending already
	}
}

// Hosts returns the names of the lab's hosts that exist.
func (o *Observer) Hosts() ([]string, error) {
	if err := o.discover(nil, nil); err != nil {
		return nil, err
	}
	return o.hosts()[1:], nil // the first is the machine
}

// Host opens the namespace of a host of the lab. name is its name in [nsfs.Dir], "" if it
// has none.
func (o *Observer) Host(host string) (ns *os.File, name string, err error) {
	if err := o.discover(nil, nil); err != nil {
		return nil, "", err
	}
	s, err := o.table.Handle(host)
	if err != nil {
		return nil, "", err
	}
	ns, err = s.OpenFile()
	return ns, s.Ref, err
}
