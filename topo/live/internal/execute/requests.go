package execute

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/iprule"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/hostfile"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// linksAndFiles executes a stage with objects on links, and files. It writes many files in
// parallel, because the requests wait most of the time for the kernel's lock of all links (RTNL).
func (x *Executor) linksAndFiles(stage []topo.Step, results []result) {
	from, to := topo.Plan(stage).Files()
	files := func() { x.fileStage(stage[from:to], results[from:to]) }
	var parallel sync.WaitGroup
	defer parallel.Wait()
	if to-from > netns.SmallBatch {
		parallel.Go(files)
	}
	x.requestStage(stage[:from], results[:from])
	x.requestStage(stage[to:], results[to:])
	if to > from && to-from <= netns.SmallBatch {
		files()
	}
}

// fileStage writes or removes files, a few at a time.
func (x *Executor) fileStage(stage []topo.Step, results []result) {
	parallel.Each(netns.Workers, len(stage), func(i int) {
		err := x.Files.Do(&x.Calls.Files, stage[i])
		results[i] = result{err: err, touched: err == nil}
	})
	if stage[0].Op() == topo.Delete {
		hostfile.RemoveDir(x.Table.Etc)
	}
}

// requestStage executes steps that need only one or two requests each.
func (x *Executor) requestStage(stage []topo.Step, results []result) {
	tasks := make([]task, 0, len(stage))
	for i, s := range stage {
		h, err := x.Table.Handle(s.Object().Key().NS)
		if err != nil {
			results[i].err = err
			continue
		}
		reqs, err := x.requests.stepRequests(h, s)
		if err != nil {
			results[i].err = err
			continue
		}
		tasks = append(tasks, task{step: i, handle: h, reqs: reqs})
	}
	x.restoreLinkLocal(stage, results)
	restore, err := x.keepSecondaries(stage)
	if err == nil {
		x.runPerNamespace(stage, tasks, results)
	}
	if err = errors.Join(err, restore()); err != nil {
		results[0].err = errors.Join(results[0].err, err)
	}
}

func (rb *requestBuilder) stepRequests(h *netns.Handle, step topo.Step) ([]rtnl.Request, error) {
	switch o := step.Object().(type) {
	case topo.Up:
		set := rtnl.LinkConfig{}
		set.SetUp(step.Op() == topo.Create)
		return oneRequest(rtnl.SetLink(rtnl.LinkID{Name: o.Link}, set), nil)
	case topo.AddrGenNone:
		if step.Op() == topo.Delete {
			return nil, nil // see restoreLinkLocal
		}
		return rb.addrGenRequests(h, o)
	case topo.Address:
		return rb.addressRequests(h, step, o)
	case topo.Neigh:
		if o.Proxy {
			return rb.proxyRequests(h, step, o)
		}
		return oneRequest(neighRequest(h, step, o))
	case topo.Route:
		return rb.routeRequests(h, step)
	case topo.Rule:
		return rb.ruleRequests(step, o)
	case topo.Port:
		return rb.portRequests(h, step)
	case topo.Qdisc:
		return qdiscRequests(h, step)
	case topo.BridgeVLAN:
		return oneRequest(bridgeVLANRequest(h, step, o))
	}
	return nil, fmt.Errorf("%T: package execute has no request for it", step.Object())
}

func oneRequest(r rtnl.Request, err error) ([]rtnl.Request, error) { return []rtnl.Request{r}, err }

// addressRequests turns duplicate address detection off: the lab knows its addresses, and
// detection would delay each by a second.
func (rb *requestBuilder) addressRequests(h *netns.Handle, step topo.Step, a topo.Address) ([]rtnl.Request, error) {
	link, err := h.LinkIndex(a.Link)
	if err != nil {
		return nil, err
	}
	addr := rtnl.Addr{Link: link, Prefix: a.Prefix}
	id, record := rtnl.LinkID{Index: link}, mark.Address(rb.table.Lab, a.Prefix.String(), a.Link)
	switch {
	case step.Op() == topo.Delete && (rb.table.AddrRecords || h.Snapshot.HasRecord(a.Link, record)):
		return []rtnl.Request{rtnl.DeleteAddr(addr), rtnl.DeleteAltNames(id, record)}, nil
	case step.Op() == topo.Delete:
		return oneRequest(rtnl.DeleteAddr(addr), nil)
	}
	if addr.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if !rb.table.AddrRecords {
		addr.Proto = mark.Protocol
	}
	if rb.table.AddrRecords || a.Link == "lo" {
		return []rtnl.Request{rtnl.AddAltNames(id, record), rtnl.AddAddr(addr)}, nil
	}
	return oneRequest(rtnl.AddAddr(addr), nil)
}

func neighRequest(h *netns.Handle, step topo.Step, n topo.Neigh) (rtnl.Request, error) {
	link, err := h.LinkIndex(n.Link)
	if err != nil {
		return rtnl.Request{}, err
	}
	neigh := rtnl.Neigh{Link: link, Addr: n.Addr, LLAddr: convert.LLAddr(n.MAC), State: unix.NUD_PERMANENT,
		Protocol: mark.Protocol}
	switch step.Op() {
	case topo.Create: // replaces an entry that the kernel may have learnt
		return rtnl.ReplaceNeigh(neigh), nil
	case topo.Change:
		return rtnl.ChangeNeigh(neigh), nil
	}
	return rtnl.DeleteNeigh(neigh), nil
}

// proxyRequests adds or deletes a proxy entry and its record. The record comes first: without it, the entry would never
// be deleted.
func (rb *requestBuilder) proxyRequests(h *netns.Handle, step topo.Step, n topo.Neigh) ([]rtnl.Request, error) {
	link, err := h.LinkIndex(n.Link)
	if err != nil {
		return nil, err
	}
	lo, record := rtnl.LinkID{Name: "lo"}, mark.Proxy(rb.table.Lab, n.Addr.String(), n.Link)
	entry := rtnl.Neigh{Link: link, Addr: n.Addr, Flags: unix.NTF_PROXY, Protocol: mark.Protocol}
	if step.Op() == topo.Delete {
		reqs := []rtnl.Request{rtnl.DeleteNeigh(entry)}
		if h.Snapshot.HasRecord("lo", record) {
			reqs = append(reqs, rtnl.DeleteAltNames(lo, record))
		}
		return reqs, nil
	}
	return []rtnl.Request{rtnl.AddAltNames(lo, record), rtnl.ReplaceNeigh(entry)}, nil
}

func (rb *requestBuilder) routeRequests(h *netns.Handle, step topo.Step) ([]rtnl.Request, error) {
	r, err := rtnlRoute(h, step.Object().(topo.Route))
	if err != nil {
		return nil, err
	}
	record, recorded := mark.Route(rb.table.Lab, step.Object().(topo.Route).Key().Name), !h.Own
	lo := rtnl.LinkID{Name: "lo"}
	switch step.Op() {
	case topo.Create:
		if recorded { // first: a route without a record would never be deleted
			return []rtnl.Request{rtnl.AddAltNames(lo, record), rtnl.AddRoute(r)}, nil
		}
		return oneRequest(rtnl.AddRoute(r), nil)
	case topo.Change:
		return oneRequest(rtnl.ReplaceRoute(r), nil)
	}
	if recorded {
		return []rtnl.Request{rtnl.DeleteRoute(r), rtnl.DeleteAltNames(lo, record)}, nil
	}
	return oneRequest(rtnl.DeleteRoute(r), nil)
}

// ruleRequests returns requests that also write the record of the rule.
func (rb *requestBuilder) ruleRequests(step topo.Step, o topo.Rule) ([]rtnl.Request, error) {
	rule, err := iprule.Parse(strings.Fields(o.Words))
	if err != nil {
		return nil, err
	}
	rule.Is6, rule.Values[unix.FRA_PRIORITY], rule.Values[unix.FRA_PROTOCOL] = o.Is6, uint64(o.Priority), mark.Protocol
	lo, record := rtnl.LinkID{Name: "lo"}, mark.Rule(rb.table.Lab, o.Key().Name)
	if step.Op() == topo.Create { // the record first: a rule without one would never be deleted
		return []rtnl.Request{rtnl.AddAltNames(lo, record), rtnl.AddRule(rtnl.Rule(rule))}, nil
	}
	return []rtnl.Request{rtnl.DeleteRule(rtnl.Rule(rule)), rtnl.DeleteAltNames(lo, record)}, nil
}

func rtnlRoute(h *netns.Handle, r topo.Route) (rtnl.Route, error) {
	out := rtnl.Route{
		Dst: r.Dst, Type: convert.RouteTypes[r.Type], Table: r.Table, Protocol: mark.Protocol,
		Metric: r.Metric, PrefSrc: r.Src,
	}
	out.Metrics.Values[unix.RTAX_MTU] = uint32(r.MTU)
	for from := range r.Hops.All() {
		hop := rtnl.Hop{Gateway: from.Via, Weight: max(from.Weight, 1)}
		if from.Onlink {
			hop.Flags = unix.RTNH_F_ONLINK
		}
		if from.Device != "" {
			i, err := h.LinkIndex(from.Device)
			if err != nil {
				return out, err
			}
			hop.Link = i
		}
		out.Hops = append(out.Hops, hop)
	}
	if len(out.Hops) == 1 {
		hop := out.Hops[0]
		out.Hops, out.Gateway, out.Link, out.Flags = nil, hop.Gateway, hop.Link, uint32(hop.Flags)
	}
	out.Scope = out.DefaultScope()
	return out, nil
}

func (rb *requestBuilder) portRequests(h *netns.Handle, step topo.Step) ([]rtnl.Request, error) {
	name := step.Object().Key().Name
	l, err := h.Conn.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return nil, err
	}
	id := rtnl.LinkID{Index: l.Index}
	if step.Want != nil {
		var set rtnl.LinkConfig
		if err := setMaster(h, &set, step.Want.(topo.Port).Master); err != nil {
			return nil, err
		}
		if step.Op() == topo.Change {
			return oneRequest(rtnl.SetLink(id, set), nil)
		}
		was, err := linkName(h, l.Master)
		if err != nil {
			return nil, err
		}
		// An alternative name must be unique in its namespace: the link's name makes it so.
		record := mark.Port(rb.table.Lab) + was + "@" + name
		return []rtnl.Request{rtnl.AddAltNames(id, record), rtnl.SetLink(id, set)}, nil
	}
	return rb.portReleaseRequests(h, l)
}

// portReleaseRequests returns the requests that give an uplink its former master again.
func (rb *requestBuilder) portReleaseRequests(h *netns.Handle, l rtnl.Link) ([]rtnl.Request, error) {
	id := rtnl.LinkID{Index: l.Index}
	set := rtnl.LinkConfig{Master: new(uint32)}
	var record []rtnl.Request
	for _, alt := range l.AltNames {
		if was, ok := strings.CutPrefix(alt, mark.Port(rb.table.Lab)); ok {
			was, _, _ = strings.Cut(was, "@")
			// The former master may have been deleted.
			if err := setMaster(h, &set, was); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			record = append(record, rtnl.DeleteAltNames(id, alt))
		}
	}
	return append([]rtnl.Request{rtnl.SetLink(id, set)}, record...), nil
}

// linkName returns the name of a link by its index, "" for index 0.
func linkName(h *netns.Handle, index uint32) (string, error) {
	if index == 0 {
		return "", nil
	}
	l, err := h.Conn.Link(rtnl.LinkID{Index: index})
	return l.Name, err
}

func qdiscRequests(h *netns.Handle, step topo.Step) ([]rtnl.Request, error) {
	link, err := h.LinkIndex(step.Object().Key().Name)
	if err != nil {
		return nil, err
	}
	have, _ := step.Have.(topo.Qdisc)
	want, _ := step.Want.(topo.Qdisc)
	reqs := []rtnl.Request{rtnl.DeleteQdisc(link)}
	if step.Want != nil {
		reqs[0] = rtnl.ReplaceNetem(rtnl.Netem{
			Link: link, Delay: want.Delay, Jitter: want.Jitter, Loss: want.Loss, Rate: want.Rate,
		})
	}
	if segs := want.GSOSegs(); segs != have.GSOSegs() {
		limits := rtnl.LinkConfig{Limits: rtnl.Limits{GSOMaxSegs: segs}}
		reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: link}, limits))
	}
	return reqs, nil
}

func bridgeVLANRequest(h *netns.Handle, step topo.Step, v topo.BridgeVLAN) (rtnl.Request, error) {
	l, err := h.Conn.Link(rtnl.LinkID{Name: v.Link})
	if err != nil {
		return rtnl.Request{}, err
	}
	vlan := rtnl.PortVLAN{Link: l.Index, Self: l.Kind.Name == "bridge", ID: v.ID, Untagged: v.Untagged, PVID: v.PVID}
	if step.Op() == topo.Delete {
		return rtnl.DeletePortVLAN(vlan), nil
	}
	return rtnl.AddPortVLAN(vlan), nil
}
