//go:build linux

package topo

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// An Observer looks at a lab and changes nothing. It waits for nobody: what somebody
// is just at work on is seen as it is.
type Observer struct {
	kernel  *Kernel
	names   *nsfs.Watcher
	watches map[nsfs.ID]*rtnl.Watcher
	changed chan struct{}
}

// Observe begins to look at a lab of the machine whose namespace the process is
// in. Whoever calls it calls Close.
func Observe(lab string) (*Observer, error) {
	k := &Kernel{lab: lab, log: slog.New(slog.DiscardHandler), etc: nsfs.EtcDir, ipv6: speaksIPv6(), spaces: map[string]*space{}}
	ns, err := nsfs.Current()
	if err != nil {
		return nil, err
	}
	if _, err := k.enter("", ns, false); err != nil {
		return nil, err
	}
	return &Observer{kernel: k, changed: make(chan struct{}, 1)}, nil
}

// Close ends the look, and what waits for changes.
func (o *Observer) Close() {
	if o.names != nil {
		o.names.Close()
	}
	for _, w := range o.watches {
		w.Close()
	}
	o.kernel.Close()
}

// Status reads the lab. want is what it should be; nil if nobody knows.
func (o *Observer) Status(want State) (Status, error) {
	have, err := o.kernel.Snapshot(want)
	if err != nil {
		return Status{}, err
	}
	s := Status{Lab: o.kernel.lab, At: time.Now(), Hosts: []HostStatus{}, Rules: []RuleStatus{}, Drift: Plan{}}
	if want != nil {
		s.Drift = Diff(have, want)
	}
	ours := map[Key]bool{}
	for _, object := range have {
		for _, key := range append(object.provides(), object.Key()) {
			if key.Kind == OfPort { // a link of the machine's in a switch of the lab's
				key.Kind = OfLink
			}
			ours[key] = true
		}
	}
	for _, name := range o.hosts() {
		if err := s.addHost(o.kernel.spaces[name], RuleTable(o.kernel.lab), ours); err != nil {
			return s, err
		}
	}
	sort.SliceStable(s.Rules, func(i, j int) bool {
		a, b := s.Rules[i], s.Rules[j]
		return cmp.Or(compareNames(nsOf(a.Host), nsOf(b.Host)), compareNames(a.Text, b.Text)) < 0
	})
	return s, nil
}

// hosts are the names of the lab's namespaces, the machine's first.
func (o *Observer) hosts() (names []string) {
	for name := range o.kernel.spaces {
		names = append(names, name)
	}
	slices.SortFunc(names, compareNames)
	return names
}

func (s *Status) addHost(at *space, table string, ours map[Key]bool) error {
	host := or(at.name, Machine)
	links, err := at.links(ours)
	if err != nil {
		return err
	}
	if len(links) > 0 || at.name != "" {
		s.Hosts = append(s.Hosts, HostStatus{host, links})
	}
	conn, err := at.nft()
	if err != nil {
		return err
	}
	rules, err := conn.Read(table)
	for _, r := range rules {
		text := r.String() // of what others put into the table
		if o := objectOf("", r.Rule); o != nil {
			text = o.String()
		}
		s.Rules = append(s.Rules, RuleStatus{host, text, r.Packets, r.Bytes})
	}
	return err
}

// links are those of the lab, as they are now.
func (s *space) links(ours map[Key]bool) ([]LinkStatus, error) {
	all, err := s.conn.Links(rtnl.LinkFilter{})
	if err != nil {
		return nil, err
	}
	addrs, err := s.conn.Addrs(rtnl.AddrFilter{})
	if err != nil {
		return nil, err
	}
	names := map[uint32]string{}
	for _, l := range all {
		names[l.Index] = l.Name
	}
	of := map[uint32][]netip.Prefix{}
	for _, a := range addrs {
		if given(a) {
			of[a.Link] = append(of[a.Link], a.Prefix)
		}
	}
	list := []LinkStatus{}
	for _, l := range all {
		if ours[Key{OfLink, s.name, l.Name}] {
			list = append(list, LinkStatus{
				Name: l.Name, Kind: l.Kind.Name, On: names[l.Master], State: stateOf(l), Addrs: append([]netip.Prefix{}, of[l.Index]...),
				Received: Traffic{l.Stats.RxPackets, l.Stats.RxBytes, l.Stats.RxErrors + l.Stats.RxDropped},
				Sent:     Traffic{l.Stats.TxPackets, l.Stats.TxBytes, l.Stats.TxErrors + l.Stats.TxDropped},
			})
		}
	}
	sort.Slice(list, func(i, j int) bool { return compareNames(list[i].Name, list[j].Name) < 0 })
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

// watchedGroups are what makes a lab another one. Neighbours come and go by
// themselves.
var watchedGroups = []rtnl.Group{rtnl.GroupLink, rtnl.GroupAddr4, rtnl.GroupAddr6, rtnl.GroupRoute4, rtnl.GroupRoute6}

// Changed waits until something may be other than the last Status said, as the
// kernel tells. It never asks.
func (o *Observer) Changed(ctx context.Context) error {
	select {
	case <-o.changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Watch begins to listen for changes in all the lab's namespaces, and for new ones.
// What changed meanwhile is told at once. It is called after each Status, which may
// have found more namespaces.
func (o *Observer) Watch() (err error) {
	if o.names == nil {
		if o.names, err = nsfs.Watch(); err != nil {
			return err
		}
		o.watches = map[nsfs.ID]*rtnl.Watcher{}
		go o.relay(func() error { _, err := o.names.Next(); return err })
	}
	there := map[nsfs.ID]bool{}
	for _, s := range o.kernel.spaces {
		there[s.id] = true
		if o.watches[s.id] != nil {
			continue
		}
		w, err := s.watch(watchedGroups...)
		if err != nil {
			return err
		}
		o.watches[s.id] = w
		o.tell() // it was read before it was watched
		go o.relay(func() error { _, err := w.Next(context.Background()); return err })
	}
	for id, w := range o.watches {
		if !there[id] {
			err = errors.Join(err, w.Close())
			delete(o.watches, id)
		}
	}
	return err
}

// relay tells of each event, until there are no more.
func (o *Observer) relay(next func() error) {
	for next() == nil {
		o.tell()
	}
}

func (o *Observer) tell() {
	select {
	case o.changed <- struct{}{}:
	default: // that something has changed is known already
	}
}

// Hosts are the names of the lab's hosts that are there.
func (o *Observer) Hosts() ([]string, error) {
	if err := o.kernel.discover(nil, nil); err != nil {
		return nil, err
	}
	return o.hosts()[1:], nil // the first is the machine
}

// Host opens the namespace of a host of the lab. name is its name in [nsfs.Dir], ""
// for one that has none there.
func (o *Observer) Host(host string) (ns *os.File, name string, err error) {
	if err := o.kernel.discover(nil, nil); err != nil {
		return nil, "", err
	}
	s, err := o.kernel.space(host)
	if err != nil {
		return nil, "", err
	}
	ns, err = s.file()
	return ns, s.ref, err
}
