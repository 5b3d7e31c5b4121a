//go:build linux

package topo

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// linksAndFiles carries out what stands on links, which waits most of all for the kernel's one
// lock of all links, and meanwhile writes files or takes them away. Few are not worth it.
func (k *Kernel) linksAndFiles(stage []Step, results []result) {
	from, to := filesIn(stage)
	files := func() { k.fileStage(stage[from:to], results[from:to]) }
	var beside sync.WaitGroup
	defer beside.Wait()
	if to-from > fewVisits {
		beside.Go(files)
	}
	k.plainStage(stage[:from], results[:from])
	k.plainStage(stage[to:], results[to:])
	if to > from && to-from <= fewVisits {
		files()
	}
}

// plainStage carries out steps that are a request or two each, namespace by
// namespace.
func (k *Kernel) plainStage(stage []Step, results []result) {
	tasks := make([]task, 0, len(stage))
	for i, s := range stage {
		sp, err := k.space(s.Object().Key().NS)
		if err != nil {
			results[i].err = err
			continue
		}
		reqs, err := k.plainRequests(sp, s)
		if err != nil {
			results[i].err = err
			continue
		}
		tasks = append(tasks, task{step: i, space: sp, reqs: reqs})
	}
	k.breakSilence(stage, results)
	k.runApart(stage, tasks, results)
}

func (k *Kernel) plainRequests(s *space, step Step) ([]rtnl.Request, error) {
	switch o := step.Object().(type) {
	case Up:
		set := rtnl.LinkConfig{}
		set.SetUp(step.Op() == Create)
		return one(rtnl.SetLink(rtnl.LinkID{Name: o.Link}, set), nil)
	case Quiet:
		if step.Op() == Delete {
			return nil, nil // see breakSilence
		}
		return k.quietRequests(s, o)
	case Address:
		return one(s.addressRequest(step, o))
	case Neigh:
		return one(s.neighRequest(step, o))
	case Route:
		return k.routeRequests(s, step)
	case Port:
		return k.portRequests(s, step)
	case Qdisc:
		return one(s.qdiscRequest(step, o))
	case BridgeVLAN:
		return one(s.bridgeVLANRequest(step, o))
	}
	return nil, fmt.Errorf("%T: unknown to the kernel half", step.Object())
}

func one(r rtnl.Request, err error) ([]rtnl.Request, error) { return []rtnl.Request{r}, err }

// addressRequest leaves out the detection of duplicates: the lab knows its
// addresses, and nobody has to wait for a second.
func (s *space) addressRequest(step Step, a Address) (rtnl.Request, error) {
	link, err := s.linkIndex(a.Link)
	if err != nil {
		return rtnl.Request{}, err
	}
	addr := rtnl.Addr{Link: link, Prefix: a.Prefix}
	if step.Op() == Delete {
		return rtnl.DeleteAddr(addr), nil
	}
	if addr.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return rtnl.AddAddr(addr), nil
}

func (s *space) neighRequest(step Step, n Neigh) (rtnl.Request, error) {
	link, err := s.linkIndex(n.Link)
	if err != nil {
		return rtnl.Request{}, err
	}
	neigh := rtnl.Neigh{Link: link, Addr: n.Addr, LLAddr: lladdr(n.MAC), State: unix.NUD_PERMANENT}
	switch step.Op() {
	case Create: // in place of what the kernel may have learnt
		return rtnl.ReplaceNeigh(neigh), nil
	case Change:
		return rtnl.ChangeNeigh(neigh), nil
	}
	return rtnl.DeleteNeigh(neigh), nil
}

var routeNumbers = map[string]uint8{
	"": unix.RTN_UNICAST, unicast: unix.RTN_UNICAST, "blackhole": unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT,
}

func (k *Kernel) routeRequests(s *space, step Step) ([]rtnl.Request, error) {
	r, err := s.route(step.Object().(Route))
	if err != nil {
		return nil, err
	}
	record, recorded := routeRecord(k.lab, step.Object().(Route)), !s.own
	lo := rtnl.LinkID{Name: "lo"}
	switch step.Op() {
	case Create:
		if recorded { // first of all: a route nobody knows of would stay
			return []rtnl.Request{rtnl.AddAltNames(lo, record), rtnl.AddRoute(r)}, nil
		}
		return one(rtnl.AddRoute(r), nil)
	case Change:
		return one(rtnl.ReplaceRoute(r), nil)
	}
	if recorded {
		return []rtnl.Request{rtnl.DeleteRoute(r), rtnl.DeleteAltNames(lo, record)}, nil
	}
	return one(rtnl.DeleteRoute(r), nil)
}

func (s *space) route(r Route) (rtnl.Route, error) {
	out := rtnl.Route{Dst: r.Dst, Type: routeNumbers[r.Type], Table: r.Table, Protocol: RouteProtocol, Metric: r.Metric, PrefSrc: r.Src}
	out.Metrics.Values[unix.RTAX_MTU] = uint32(r.MTU)
	hops := r.NextHops()
	for _, h := range hops {
		hop := rtnl.Hop{Gateway: h.Via, Weight: max(h.Weight, 1)}
		if h.Onlink {
			hop.Flags = unix.RTNH_F_ONLINK
		}
		if h.Device != "" {
			i, err := s.linkIndex(h.Device)
			if err != nil {
				return out, err
			}
			hop.Link = i
		}
		out.Hops = append(out.Hops, hop)
	}
	if len(hops) == 1 {
		h := out.Hops[0]
		out.Hops, out.Gateway, out.Link, out.Flags = nil, h.Gateway, h.Link, uint32(h.Flags)
	}
	out.Scope = out.NaturalScope()
	return out, nil
}

func (k *Kernel) portRequests(s *space, step Step) ([]rtnl.Request, error) {
	name := step.Object().Key().Name
	l, err := s.conn.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return nil, err
	}
	id := rtnl.LinkID{Index: l.Index}
	if step.Want != nil {
		var set rtnl.LinkConfig
		if err := s.enslave(&set, step.Want.(Port).Master); err != nil {
			return nil, err
		}
		if step.Op() == Change {
			return one(rtnl.SetLink(id, set), nil)
		}
		was, err := s.linkName(l.Master)
		if err != nil {
			return nil, err
		}
		// Names are one to a namespace: that of the link makes this one unique.
		record := portRecord(k.lab) + was + "@" + name
		return []rtnl.Request{rtnl.AddAltNames(id, record), rtnl.SetLink(id, set)}, nil
	}
	set := rtnl.LinkConfig{Master: new(uint32)}
	var record []rtnl.Request
	for _, alt := range l.AltNames {
		if was, ok := strings.CutPrefix(alt, portRecord(k.lab)); ok {
			was, _, _ = strings.Cut(was, "@")
			if err := s.enslave(&set, was); err != nil && !errors.Is(err, fs.ErrNotExist) { // no longer there
				return nil, err
			}
			record = append(record, rtnl.DeleteAltNames(id, alt))
		}
	}
	return append([]rtnl.Request{rtnl.SetLink(id, set)}, record...), nil
}

// linkName is the name of a link by its index, "" for index 0.
func (s *space) linkName(index uint32) (string, error) {
	if index == 0 {
		return "", nil
	}
	l, err := s.conn.Link(rtnl.LinkID{Index: index})
	return l.Name, err
}

func (s *space) qdiscRequest(step Step, q Qdisc) (rtnl.Request, error) {
	link, err := s.linkIndex(q.Link)
	if err != nil {
		return rtnl.Request{}, err
	}
	if step.Op() == Delete {
		return rtnl.DeleteQdisc(link), nil
	}
	return rtnl.ReplaceNetem(rtnl.Netem{Link: link, Delay: q.Delay, Jitter: q.Jitter, Loss: q.Loss, Rate: q.Rate}), nil
}

func (s *space) bridgeVLANRequest(step Step, v BridgeVLAN) (rtnl.Request, error) {
	l, err := s.conn.Link(rtnl.LinkID{Name: v.Link})
	if err != nil {
		return rtnl.Request{}, err
	}
	vlan := rtnl.PortVLAN{Link: l.Index, Self: l.Kind.Name == "bridge", ID: v.ID, Untagged: v.Untagged, PVID: v.PVID}
	if step.Op() == Delete {
		return rtnl.DeletePortVLAN(vlan), nil
	}
	return rtnl.AddPortVLAN(vlan), nil
}
