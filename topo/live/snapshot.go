package live

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/iprule"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
)

// Snapshot reads the lab's state from the kernel: the objects with its mark. It also contains settings,
// addresses and neighbour entries of want that have no mark, if they exist with the wanted values: vnet need
// not add them. want may be nil.
func (k *Kernel) Snapshot(want topo.State) (topo.State, error) { return k.readAll(want) }

// readAll reads the whole lab; see [Kernel.Snapshot].
func (rd *reader) readAll(want topo.State) (topo.State, error) {
	return rd.snapshot(want, touched{all: true}, true)
}

// snapshot reads what is touched. For the rest it uses the last snapshot, which must have been
// for the same want, and the files written since. It looks for processes only if programs is true.
func (rd *reader) snapshot(want topo.State, what touched, programs bool) (topo.State, error) {
	var all []nsfs.Process
	var allErr error
	var wg sync.WaitGroup
	if programs {
		wg.Go(func() { all, allErr = nsfs.Processes() })
	}
	err := rd.readTouched(want, what)
	wg.Wait()
	if err := errors.Join(err, allErr); err != nil {
		return nil, err
	}
	if programs {
		if err := rd.programs.Find(want, all); err != nil {
			return nil, err
		}
	}
	rd.have, rd.want = rd.build(want), want
	return rd.have, nil
}

// readTouched reads the touched namespaces, and those that were not known before.
func (rd *reader) readTouched(want topo.State, what touched) error {
	wanted := wantedValuesOf(want)
	read := func(s *netns.Handle, entered error) error {
		v := &netnsSnapshot{handle: s, wanted: wanted[s.Name], filesKnown: s.Files != nil && !what.all}
		links, _ := what.of(s.Name)
		if before := s.Snapshot; links != nil && before != nil && singleReadCost*len(links) < len(before.Links) {
			v.Links, v.touched = before.Links, links
		}
		return rd.readNetns(v, entered)
	}
	needsRead := func(s *netns.Handle) bool {
		_, is := what.of(s.Name)
		return is || s.Snapshot == nil
	}
	return rd.discover(read, needsRead)
}

// build makes the state from what was read in all namespaces.
func (rd *reader) build(want topo.State) topo.State {
	r := &stateBuilder{lab: rd.table.Lab, want: want}
	rd.snapshots.keep(rd.table.Handles)
	for _, s := range rd.table.Handles {
		v := rd.snapshots.get(s)
		clear(v.inLab)
		r.snapshots = append(r.snapshots, v)
	}
	r.links()
	r.spanningTrees()
	r.namespaces()
	rd.withoutCarrier, rd.trees = r.withoutCarrier, r.trees
	r.processes(rd.programs.Running)
	if !rd.table.IPv6 {
		r.assumeAddrGenNone(want)
	}
	return r.state()
}

// processes adds the programs that run.
func (r *stateBuilder) processes(programs []program.Process) {
	for _, p := range programs {
		for _, v := range r.snapshots {
			if v.handle.ID == p.NS {
				r.put(topo.Process{NS: v.handle.Name, Command: p.Command})
			}
		}
	}
}

// A stateBuilder makes a state from the snapshots of namespaces.
type stateBuilder struct {
	lab            string
	want           topo.State // may be nil
	survey         bool       // everything counts as the lab's
	snapshots      []*netnsSnapshot
	veths          vethTable
	found          []foundObject
	withoutCarrier []carrierWait
	trees          []spanningTree
	wantedAltNames map[topo.Key]string // by link; nil until the first link with an alternative name
}

// A foundObject is an object read from the kernel, with its key.
type foundObject struct {
	key    topo.Key
	object topo.Object
}

func (r *stateBuilder) put(o topo.Object) {
	o = topo.Normalize(o)
	r.found = append(r.found, foundObject{o.Key(), o})
}

func (r *stateBuilder) state() topo.State {
	s := make(topo.State, len(r.found))
	for _, f := range r.found {
		s[f.key] = f.object
	}
	return s
}

// namespaces adds the objects of all namespaces, in parallel.
func (r *stateBuilder) namespaces() {
	var turns parallel.Queue
	parts := make([][]foundObject, netns.Workers)
	parallel.Each(netns.Workers, netns.Workers, func(w int) {
		part := stateBuilder{lab: r.lab, want: r.want}
		turns.Run(len(r.snapshots), func(i int) { part.namespace(r.snapshots[i]) })
		parts[w] = part.found
	})
	for _, part := range parts {
		r.found = append(r.found, part...)
	}
}

// namespace adds the objects of a namespace other than its links.
func (r *stateBuilder) namespace(v *netnsSnapshot) {
	ns := v.handle.Name
	switch {
	case v.handle.Own:
		r.put(topo.Namespace{Name: ns})
	case ns != "":
		r.put(topo.Namespace{Name: ns, From: v.handle.From})
	}
	r.addresses(v)
	r.linkProperties(v)
	r.neighbours(v)
	for _, route := range v.routes {
		r.route(v, route)
	}
	for _, rule := range v.ipRules {
		if o := v.ipRule(rule); slices.Contains(v.Lo().AltNames, mark.Rule(r.lab, o.Key().Name)) && isMarked(rule) {
			r.put(o)
		}
	}
	r.natRules(v)
	for name, value := range v.values {
		r.put(topo.Sysctl{NS: ns, Name: name, Value: value})
	}
	r.staleRecords(v)
	for name, text := range v.handle.Files {
		r.put(topo.File{NS: ns, Name: name, Content: text})
	}
}

// natRules adds the lab's NAT rules. In a damaged table, wanted rules count as missing: Up adds them again, and this
// repairs the table.
func (r *stateBuilder) natRules(v *netnsSnapshot) {
	v.emptyTable = v.natTable.Exists
	for _, rule := range v.rules {
		o := convert.Object(v.handle.Name, rule.Rule)
		if o == nil {
			continue
		}
		v.emptyTable = false
		if key := o.Key(); !v.natTable.Damaged || r.want[key] == nil || topo.Normalize(r.want[key]) != topo.Normalize(o) {
			r.put(o)
		}
	}
}

// addresses adds what is up, the uplinks, the addresses, and the links without a link-local one.
func (r *stateBuilder) addresses(v *netnsSnapshot) {
	ns := v.handle.Name
	for _, l := range v.Links {
		if l.Up() && (v.inLab[l.Index] || v.handle.Own && l.Name == "lo") {
			r.put(topo.Up{NS: ns, Link: l.Name})
		}
		r.port(v, l)
	}
	hasIPv6 := map[uint32]bool{} // an address of the lab
	for _, a := range v.Addrs {
		if (v.inLab[a.Link] || v.Names[a.Link] == "lo") && r.ownsAddress(v, a) {
			r.put(topo.Address{NS: ns, Link: v.Names[a.Link], Prefix: a.Prefix})
			hasIPv6[a.Link] = hasIPv6[a.Link] || a.Is6()
		}
	}
	for _, l := range v.Links {
		none := l.AddrGenMode != nil && *l.AddrGenMode == rtnl.AddrGenNone
		if v.inLab[l.Index] && l.Master == 0 && none && !hasIPv6[l.Index] {
			r.addrGenNone(v, l.Name)
		}
	}
}

// linkProperties adds the qdiscs, the checksum offload and the VLANs of links.
func (r *stateBuilder) linkProperties(v *netnsSnapshot) {
	ns := v.handle.Name
	for _, n := range v.netems {
		if v.inLab[n.Link] {
			is := topo.Impairment{Delay: n.Delay, Jitter: n.Jitter, Loss: n.Loss, Rate: n.Rate}
			gso := n.Loss != 0 && slices.ContainsFunc(v.Links, func(l rtnl.Link) bool {
				return l.Index == n.Link && l.Limits.GSOMaxSegs != 1
			})
			r.put(topo.Qdisc{NS: ns, Link: v.Names[n.Link], Impairment: is, GSO: gso})
		}
	}
	for _, name := range v.noOffload {
		r.put(topo.NoOffload{NS: ns, Link: name})
	}
	for _, m := range v.vlans {
		if v.inLab[m.Link] {
			r.put(topo.BridgeVLAN{NS: ns, Link: v.Names[m.Link], ID: m.ID, Untagged: m.Untagged, PVID: m.PVID})
		}
	}
}

// addrGenNone adds an AddrGenNone, unless the lab has an IPv6 setting for the link.
func (r *stateBuilder) addrGenNone(v *netnsSnapshot, link string) {
	for name := range v.wanted.settings {
		if of, _, ok := (topo.Sysctl{Name: name}).IPv6Link(); ok && of == link {
			return
		}
	}
	r.put(topo.AddrGenNone{NS: v.handle.Name, Link: link})
}

// assumeAddrGenNone adds every wanted AddrGenNone, for a kernel without IPv6.
func (r *stateBuilder) assumeAddrGenNone(want topo.State) {
	for _, o := range want {
		if a, ok := o.(topo.AddrGenNone); ok {
			r.put(a)
		}
	}
}

// staleRecords finds records of the lab for objects that somebody else deleted.
func (r *stateBuilder) staleRecords(v *netnsSnapshot) {
	v.staleRecords = nil
	routes := map[string]bool{}
	for _, in := range v.routes {
		routes[mark.Route(r.lab, v.route(in).Key().Name)] = true
	}
	rules := map[string]bool{}
	for _, in := range v.ipRules {
		if isMarked(in) {
			rules[mark.Rule(r.lab, v.ipRule(in).Key().Name)] = true
		}
	}
	for _, l := range v.Links {
		for _, name := range l.AltNames {
			record, ours := strings.CutPrefix(name, mark.Of(r.lab)+":")
			word, value, _ := strings.Cut(record, "=")
			exists := true
			switch {
			case word == "port":
				exists = l.Master != 0
			case word == "addr":
				exists = v.hasRecordedAddr(r.lab, l, name)
			case l.Name != "lo":
			case word == "route":
				exists = routes[name]
			case word == "rule":
				exists = rules[name]
			case word == "proxy":
				exists = slices.ContainsFunc(v.Neighs, func(n rtnl.Neigh) bool {
					return n.Proxy() && mark.Proxy(r.lab, n.Addr.String(), v.Names[n.Link]) == name
				})
			case word == "ra":
				link := mark.Unescaper.Replace(value)
				exists = slices.ContainsFunc(v.Links, func(l rtnl.Link) bool { return l.Name == link })
			case strings.HasPrefix(word, "net."):
				_, exists = v.values[mark.Unescaper.Replace(word)]
			}
			if ours && !exists {
				v.staleRecords = append(v.staleRecords, staleRecord{l.Name, name})
			}
		}
	}
}

func (r *stateBuilder) port(v *netnsSnapshot, l rtnl.Link) {
	if _, was := mark.Find(l.AltNames, mark.Port(r.lab)); was != "" && l.Master != 0 {
		r.put(topo.Port{NS: v.handle.Name, Link: l.Name, Master: v.Names[l.Master]})
	}
}

func (r *stateBuilder) route(v *netnsSnapshot, in rtnl.Route) {
	if in.Protocol != mark.Protocol {
		return
	}
	out := v.route(in)
	if !v.handle.Own && !slices.Contains(v.Lo().AltNames, mark.Route(r.lab, out.Key().Name)) {
		return
	}
	r.put(out)
}

// route converts a route to an object.
func (v *netnsSnapshot) route(in rtnl.Route) topo.Route {
	out := topo.Route{NS: v.handle.Name, Dst: in.Dst, Src: in.PrefSrc, Table: in.Table, Metric: in.Metric}
	out.MTU = int(in.Metrics.Values[unix.RTAX_MTU])
	for name, number := range convert.RouteTypes {
		if number == in.Type {
			out.Type = name
		}
	}
	if in.Type == unix.RTN_UNICAST {
		hops := in.Hops
		if len(hops) == 0 {
			hops = []rtnl.Hop{{Gateway: in.Gateway, Link: in.Link, Flags: uint8(in.Flags)}}
		}
		out.Type, out.Hops = "", topo.NewHops(v.hops(hops)...)
	}
	return topo.Normalize(out).(topo.Route)
}

// isMarked reports whether a rule is of a lab.
func isMarked(r rtnl.Rule) bool { return r.Values[unix.FRA_PROTOCOL] == mark.Protocol }

// ipRule converts a rule of policy routing to an object.
func (v *netnsSnapshot) ipRule(in rtnl.Rule) topo.Rule {
	rule := iprule.Rule(in)
	rule.Canonical()
	priority := uint32(in.Values[unix.FRA_PRIORITY])
	return topo.Rule{NS: v.handle.Name, Is6: in.Is6, Priority: priority, Words: rule.String()}
}

func (v *netnsSnapshot) hops(in []rtnl.Hop) (hops []topo.Hop) {
	for _, h := range in {
		onlink := h.Flags&unix.RTNH_F_ONLINK != 0
		hops = append(hops, topo.Hop{Via: h.Gateway, Device: v.Names[h.Link], Weight: h.Weight, Onlink: onlink})
	}
	return hops
}
