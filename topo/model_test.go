package topo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strconv"
)

// A modelKernel is a model of the kernel: it stores objects, refuses to create an object whose
// needs are missing, refuses to delete an object that others depend on, and deletes the
// secondary addresses of a subnet with the primary one, as Linux does.
type modelKernel struct {
	has    State
	age    map[Key]int
	clock  int
	all    State // all objects of the test; needs for others are assumed to be met
	stages int
}

func newModelKernel(has State, others ...State) *modelKernel {
	m := &modelKernel{has: State{}, age: map[Key]int{}, all: State{}}
	for _, s := range append(others, has) {
		for _, o := range s {
			for _, k := range o.provides() {
				m.all[k] = o
			}
		}
	}
	for _, o := range has.Objects() {
		m.has[o.Key()] = o
		m.clock++
		m.age[o.Key()] = m.clock
	}
	return m
}

func (m *modelKernel) Do(_ context.Context, stage []Step) error {
	m.stages++
	before, age := maps.Clone(m.has), maps.Clone(m.age)
	for _, s := range stage {
		if err := m.step(s); err != nil {
			m.has, m.age = before, age
			return &StepError{Step: s, Err: err}
		}
	}
	return nil
}

func (m *modelKernel) step(s Step) error {
	k := s.Object().Key()
	have, there := m.has[k]
	switch {
	case s.Op() == Create && there:
		return fs.ErrExist
	case s.Op() != Create && !there && k.Kind == OfAddress:
		return nil // deleted with its primary address
	case s.Op() != Create && !there:
		return fs.ErrNotExist
	case s.Op() != Create && have != s.Have:
		return fmt.Errorf("is %[2]v, not %[1]v", s.Have, have)
	case s.Op() == Change && !s.Have.canBecome(s.Want):
		return errors.New("cannot change in place")
	}
	if s.Want == nil {
		return m.remove(s.Have)
	}
	return m.put(s.Want)
}

func (m *modelKernel) put(o Object) error {
	delete(m.has, o.Key())
	d := newDependencies(m.has)
	for _, k := range o.provides() {
		if owner, exists := d.providers[k]; exists {
			return fmt.Errorf("%v has the name: %w", m.has[owner], fs.ErrExist)
		}
	}
	m.has[o.Key()] = o
	d = newDependencies(m.has)
	for _, need := range d.of(o) {
		_, there := d.providers[need]
		if _, ours := m.all[need]; ours && !there {
			return fmt.Errorf("needs %v: %w", need, fs.ErrNotExist)
		}
	}
	m.clock++
	m.age[o.Key()] = m.clock
	return nil
}

func (m *modelKernel) remove(o Object) error {
	d := newDependencies(m.has)
	for k, other := range m.has {
		for _, need := range d.of(other) {
			if d.providers[need] != o.Key() || k == o.Key() {
				continue
			}
			if k.Kind == OfAddress && o.Key().Kind == OfAddress {
				continue // addresses of one subnet
			}
			return fmt.Errorf("%v depends on it", other)
		}
	}
	delete(m.has, o.Key())
	if a, ok := o.(Address); ok {
		for _, k := range a.needsInState(d) {
			if m.age[k] > m.age[o.Key()] {
				delete(m.has, k)
			}
		}
	}
	return nil
}

// A world makes random states that are possible in a kernel. All use the same few names, so
// that two states have much in common.
type world struct {
	r *rand.Rand
	s State
}

var worldNamespaces = []string{"", "a", "b", "c"}

func randomState(r *rand.Rand) State {
	w := &world{r, State{}}
	for _, ns := range worldNamespaces[1:] {
		if w.chance(80) {
			w.add(Namespace{Name: ns})
			w.add(Up{ns, "lo"})
			w.loopback(ns)
		}
	}
	w.bridges()
	w.veths()
	w.devices()
	w.loopback("")
	for range 8 {
		w.configure()
	}
	return w.s
}

// loopback adds addresses of lo, which routes may have as their source.
func (w *world) loopback(ns string) {
	for _, addr := range []string{"10.255.0.1/32", "fd00:255::1/128"} {
		if w.chance(50) {
			w.add(Address{ns, "lo", netip.MustParsePrefix(addr)})
		}
	}
}

func (w *world) chance(percent int) bool { return w.r.IntN(100) < percent }

func pick[T any](w *world, list ...T) T { return list[w.r.IntN(len(list))] }

// add adds an object if its keys are free and its needs exist.
func (w *world) add(o Object) {
	o = o.normal()
	d := newDependencies(w.s)
	for _, k := range o.provides() {
		if _, exists := d.providers[k]; exists {
			return
		}
	}
	for _, k := range d.of(o) {
		if k.Kind == OfPort || k == (Key{OfNamespace, "", ""}) {
			continue
		}
		if _, there := d.providers[k]; !there {
			return
		}
	}
	if r, ok := o.(Route); ok && !w.reachable(d, r) || !w.bridgesOnly(d, o) {
		return
	}
	w.s[o.Key()] = o
}

// bridgesOnly reports whether the masters of the links are bridges.
func (w *world) bridgesOnly(d dependencies, o Object) bool {
	var links []Link
	switch x := o.(type) {
	case LinkObject:
		links = x.Links()
	case Port:
		links = []Link{{NS: x.NS, Master: x.Master}}
	}
	for _, l := range links {
		if _, ok := d.links[Key{OfLink, l.NS, l.Master}].(Bridge); l.Master != "" && !ok {
			return false
		}
	}
	return true
}

func (w *world) reachable(d dependencies, r Route) bool {
	for h := range r.Hops.All() {
		if len(r.hopAddresses(d, h)) == 0 {
			return false
		}
	}
	return true
}

func (w *world) link(ns, name string) Link {
	return Link{NS: ns, Name: name, MAC: MAC{2, 0, 0, 0, 0, byte(w.r.IntN(3))}, MTU: pick(w, 1500, 1500, 1500, 9000, 1000)}
}

func (w *world) bridges() {
	for _, name := range []string{"br0", "br1"} {
		if w.chance(70) {
			options := pick(w, "", "", "forward_delay 200", "group_fwd_mask 16384 mcast_snooping 0", "mcast_snooping 0")
			w.add(Bridge{w.link(pick(w, "", "", "a"), name), w.chance(30), w.chance(10), BridgeOptions(options)})
		}
	}
}

func (w *world) veths() {
	for i := range 6 {
		near := w.link(pick(w, worldNamespaces...), "v"+strconv.Itoa(i))
		far := w.link(pick(w, worldNamespaces...), pick(w, "eth0", "eth1", "br1"))
		if w.chance(60) {
			near.Master = pick(w, "br0", "br1")
			near.Isolated = w.chance(20)
		}
		w.add(Veth{Ends: [2]Link{near, far}})
	}
}

func (w *world) devices() {
	for i, parent := range []string{"eth0", "eth1", "v0", "d0"} {
		ns := pick(w, worldNamespaces...)
		l := w.link(ns, "d"+strconv.Itoa(i))
		switch w.r.IntN(5) {
		case 0:
			w.add(Dummy{l})
		case 1:
			w.add(VLAN{l, parent, uint16(10 + i)})
		case 2:
			w.add(Macvlan{l, pick(w, worldNamespaces...), parent, ""})
		case 3:
			w.add(Ipvlan{l, ns, parent, "l3"})
		case 4:
			w.add(VXLAN{Link: l, ID: uint32(w.r.IntN(3)), Local: netip.MustParseAddr("10.0.0.1")})
		}
	}
}

// configure adds objects on the links and in the namespaces.
func (w *world) configure() {
	for _, o := range w.s.Objects() {
		k := o.Key()
		for _, p := range o.provides() {
			if k.Kind == OfLink && w.chance(40) {
				w.configureLink(p.NS, p.Name)
			}
		}
		if k.Kind == OfNamespace && w.chance(40) {
			w.configureNamespace(k.NS)
		}
	}
	w.configureNamespace("")
}

func (w *world) configureLink(ns, name string) {
	switch w.r.IntN(10) {
	case 0, 1:
		w.add(Up{ns, name})
	case 2:
		addr := pick(w, "10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24", "10.1.0.1/16", "fd00::1/64", "fd00::2/64")
		w.add(Address{ns, name, netip.MustParsePrefix(addr)})
	case 3:
		w.add(Neigh{ns, name, netip.MustParseAddr(pick(w, "10.0.0.9", "fd00::9")), MAC{2, byte(w.r.IntN(2))}, false})
		w.add(Neigh{NS: ns, Link: name, Addr: netip.MustParseAddr(pick(w, "10.0.0.9", "fd00::9")), Proxy: true})
	case 4:
		w.add(Sysctl{ns, "net.ipv4.conf." + name + ".rp_filter", pick(w, "0", "1", "2")})
	case 5:
		via := netip.MustParseAddr(pick(w, "10.0.0.7", "fd00::7"))
		dst := netip.MustParsePrefix(pick(w, "0.0.0.0/0", "10.9.0.0/16"))
		if via.Is6() {
			dst = netip.MustParsePrefix("::/0")
		}
		r := Route{NS: ns, Dst: dst, Hops: NewHops(Hop{Via: via, Device: name})}
		if src := netip.MustParseAddr(pick(w, "10.255.0.1", "fd00:255::1")); w.chance(30) && src.Is4() == via.Is4() {
			r.Src = src
		}
		w.add(r)
	case 6:
		w.add(BridgeVLAN{ns, name, uint16(w.r.IntN(2) + 1), w.chance(50), w.chance(50)})
	case 7:
		w.add(Qdisc{ns, name, Impairment{Loss: float64(w.r.IntN(3))}, w.chance(20)})
	case 8:
		w.add(NoOffload{ns, name})
		w.add(AddrGenNone{ns, name})
	case 9:
		w.add(Fastpath{ns, name, w.chance(50)})
	}
}

func (w *world) configureNamespace(ns string) {
	switch w.r.IntN(11) {
	case 0:
		w.add(Sysctl{ns, "net.ipv4.ip_forward", pick(w, "0", "1")})
	case 1:
		w.add(Masquerade{NS: ns, Source: netip.MustParsePrefix(pick(w, "10.0.0.0/24", "fd00::/64"))})
	case 2:
		port, to := uint16(80+w.r.IntN(3)), pick(w, "10.0.0.2", "fd00::2")
		w.add(Forward{NS: ns, Proto: "tcp", First: port, To: netip.MustParseAddr(to)})
	case 3:
		to := netip.MustParseAddr(pick(w, "192.0.2.1", "192.0.2.2"))
		w.add(SourceNAT{NS: ns, Source: netip.MustParsePrefix("10.0.0.0/24"), To: to})
	case 4:
		w.add(Isolation{ns, pick(w, "br0", "br1"), pick(w, "br0", "br1")})
	case 5:
		if ns != "" {
			w.add(File{ns, "hosts", pick(w, "10.0.0.1 a\n", "10.0.0.2 b\n")})
		}
	case 6:
		w.add(Process{ns, pick(w, "sleep 1", "sleep 2")})
	case 7:
		dst := netip.MustParsePrefix(pick(w, "10.7.0.0/16", "fd07::/64"))
		w.add(Route{NS: ns, Dst: dst, Type: pick(w, "blackhole", "unreachable")})
	case 8:
		w.add(Port{ns, "uplink", pick(w, "br0", "br1")})
	case 9:
		w.add(HairpinFilter{ns, pick(w, "d0", "d1")})
		w.add(AntispoofPort{ns, pick(w, "d0", "d1"), w.chance(50), w.chance(50)})
		w.add(PortAddress{ns, "d0", MAC{2, 1}, netip.MustParseAddr(pick(w, "10.0.0.1", "10.0.0.2"))})
	case 10:
		w.add(Rule{ns, w.chance(50), pick[uint32](w, 100, 101), "lookup " + pick(w, "7", "8")})
	}
}
