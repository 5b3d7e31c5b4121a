package execute

import (
	"fmt"
	"os"
	"reflect"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// LinkBatch is the number of links created together: with a request for the mark of each,
// they fit into one system call. It also limits the number of open namespace files.
const LinkBatch = maxRequests / 2

// linkStage creates or changes links. It sends links of one type together; links of a later
// type may have parents of an earlier type.
func (x *Executor) linkStage(stage []topo.Step, results []result) {
	for from := 0; from < len(stage); {
		to := from
		for to < len(stage) && to-from < LinkBatch && reflect.TypeOf(stage[to].Want) == reflect.TypeOf(stage[from].Want) {
			to++
		}
		x.linksOfType(stage, from, to, results)
		from = to
	}
}

func (x *Executor) linksOfType(stage []topo.Step, from, to int, results []result) {
	var near, far []task
	for i := from; i < to; i++ {
		tasks, err := x.requests.linkTasks(stage[i])
		if err != nil {
			results[i].err = err
			continue
		}
		for j, t := range tasks {
			t.step = i
			if j == 0 {
				near = append(near, t)
			} else {
				far = append(far, t)
			}
		}
	}
	x.runTasks(near, results)
	x.requests.closeRequestFiles()
	var completing []task
	for _, t := range far {
		if results[t.step].err == nil { // the link was created
			completing = append(completing, t)
		}
	}
	x.runPerNamespace(stage, completing, results)
	x.applyIPv6Modes(stage[from:to], results[from:to])
}

// linkTasks returns the tasks that create or change a link: one in the namespace that gets
// the request to create it, and perhaps one in the link's or the far veth end's namespace.
func (rb *requestBuilder) linkTasks(s topo.Step) ([]task, error) {
	if s.Op() == topo.Change {
		return rb.changeTasks(s)
	}
	switch o := s.Want.(type) {
	case topo.Bridge:
		return rb.bridgeTasks(o)
	case topo.Veth:
		return rb.vethTasks(o)
	}
	k := convert.LinkKindOf(s.Want)
	if k == nil {
		return nil, fmt.Errorf("%T is not a link", s.Want)
	}
	return rb.newLinkTasks(k.Name, k.Encode(s.Want))
}

// bridgeTasks sets a bridge's MTU and MAC after the bridge exists: if only the create request set
// them, the kernel would change them with the bridge's ports. The create request has the MAC, too:
// otherwise udev would consider the MAC random and replace it.
func (rb *requestBuilder) bridgeTasks(b topo.Bridge) ([]task, error) {
	h, index, err := rb.handleAndIndex(b.NS)
	if err != nil {
		return nil, err
	}
	kind := rtnl.Kind{Name: "bridge", Options: convert.BridgeOptions(topo.Bridge{}, b)}
	add := rtnl.LinkConfig{Name: b.Name, Index: index, Address: convert.LLAddr(b.MAC), Kind: kind}
	set := rtnl.LinkConfig{
		MTU: uint32(b.MTU), Address: convert.LLAddr(b.MAC), Alias: alias(rb.table), Group: linkGroup(h, b.Link),
	}
	reqs := []rtnl.Request{rtnl.AddLink(add), rtnl.SetLink(rtnl.LinkID{Index: index}, set)}
	reqs = append(reqs, altNameRequests(index, "", b.AltName)...)
	return []task{{handle: h, reqs: reqs, onSuccess: func() { h.SetIndex(b.Name, index) }}}, nil
}

// handleAndIndex returns the handle of a new link's namespace and the link's index.
func (rb *requestBuilder) handleAndIndex(ns string) (*netns.Handle, uint32, error) {
	h, err := rb.table.Handle(ns)
	if err != nil {
		return nil, 0, err
	}
	index, err := h.NewIndex()
	return h, index, err
}

// alias returns the mark of a lab, which is the alias of its links.
func alias(t *netns.Table) *string {
	mark := mark.Of(t.Lab)
	return &mark
}

// vethTasks creates both ends in one request, each in its namespace with its name. Requests
// in the far end's namespace set what the create request cannot.
func (rb *requestBuilder) vethTasks(v topo.Veth) ([]task, error) {
	near, nearIndex, err := rb.handleAndIndex(v.Ends[0].NS)
	if err != nil {
		return nil, err
	}
	far, farIndex, err := rb.handleAndIndex(v.Ends[1].NS)
	if err != nil {
		return nil, err
	}
	if farIndex == nearIndex {
		// If a link's parent index equals its own index, the kernel treats it as a link without
		// a parent and reports its carrier up to one second late.
		if farIndex, err = far.NewIndex(); err != nil {
			return nil, err
		}
	}
	add, peer := newLinkConfig(v.Ends[0], nearIndex), newLinkConfig(v.Ends[1], farIndex)
	add.Limits, peer.Limits = singleQueue, singleQueue
	if far != near {
		if peer.NS, err = rb.openForRequest(far); err != nil {
			return nil, err
		}
	}
	if err := setMaster(near, &add, v.Ends[0].Master); err != nil {
		return nil, err
	}
	add.Kind = rtnl.Kind{Name: "veth", Peer: &peer}
	created := task{
		handle: near,
		reqs:   append([]rtnl.Request{rtnl.AddLink(add)}, rb.completionRequests(v.Ends[0], nearIndex, true)...),
		onSuccess: func() {
			near.SetIndex(v.Ends[0].Name, nearIndex)
			far.SetIndex(v.Ends[1].Name, farIndex)
		},
	}
	// The near end's mark identifies the pair. The far end needs its own mark in a foreign
	// namespace, and also if the lab created both namespaces: one may be gone before the other.
	reqs, err := rb.requestsAfterCreate(far, v.Ends[1], farIndex, !far.Own || near.Own)
	if err != nil || len(reqs) == 0 {
		return []task{created}, err
	}
	return []task{created, {handle: far, reqs: reqs}}, nil
}

// requestsAfterCreate returns the requests for a link in a namespace to which the create request
// was not sent: its master, and completionRequests.
func (rb *requestBuilder) requestsAfterCreate(
	h *netns.Handle, l topo.Link, index uint32, mark bool,
) (reqs []rtnl.Request, err error) {
	set := rtnl.LinkConfig{}
	if err := setMaster(h, &set, l.Master); err != nil {
		return nil, err
	}
	if set.Master != nil {
		reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: index}, set))
	}
	return append(reqs, rb.completionRequests(l, index, mark)...), nil
}

// singleQueue gives a veth end one queue. Without this limit the link also gets one queue, but the
// kernel first creates one queue per CPU and then removes the others, which takes an RCU grace
// period per end.
var singleQueue = rtnl.Limits{TxQueues: 1, RxQueues: 1}

// newLinkConfig returns the attributes that the create request can set.
func newLinkConfig(l topo.Link, index uint32) rtnl.LinkConfig {
	return rtnl.LinkConfig{Name: l.Name, Index: index, MTU: uint32(l.MTU), Address: convert.LLAddr(l.MAC)}
}

// A requestBuilder makes the requests of steps. It sends none.
type requestBuilder struct {
	table *netns.Table
	files []*os.File // namespaces in requests, open until these are sent
}

// openForRequest opens the file of a namespace for use in a request. closeRequestFiles
// closes it after the request is sent.
func (rb *requestBuilder) openForRequest(h *netns.Handle) (*os.File, error) {
	ns, err := h.OpenFile()
	if err == nil {
		rb.files = append(rb.files, ns)
	}
	return ns, err
}

func (rb *requestBuilder) closeRequestFiles() {
	for _, ns := range rb.files {
		ns.Close()
	}
	rb.files = rb.files[:0]
}

// setMaster sets the master in a request; "" sets none.
func setMaster(h *netns.Handle, c *rtnl.LinkConfig, master string) error {
	if master == "" {
		return nil
	}
	i, err := h.LinkIndex(master)
	if err != nil {
		return err
	}
	c.Master = &i
	return nil
}

// completionRequests returns the requests for attributes that a create request cannot set:
// the mark, bridge port options and the alternative name. They also prevent the IPv6 link-local address of a
// bridge port: the port does not need it, and sends no packets for duplicate address detection without it.
func (rb *requestBuilder) completionRequests(l topo.Link, index uint32, mark bool) []rtnl.Request {
	set, needed := rtnl.LinkConfig{}, mark
	if mark {
		set.Alias = alias(rb.table)
		if h, err := rb.table.Handle(l.NS); err == nil {
			set.Group = linkGroup(h, l)
		}
	}
	if l.Master != "" {
		if rb.table.IPv6 && l.CarriesIPv6() {
			none := rtnl.AddrGenNone
			set.AddrGenMode, needed = &none, true
		}
		if l.Isolated || l.Hairpin {
			needed = true
			set.PortKind, set.Port = "bridge_slave", portOptions(l)
		}
	}
	var reqs []rtnl.Request
	if needed {
		reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: index}, set))
	}
	return append(reqs, altNameRequests(index, "", l.AltName)...)
}

func portOptions(l topo.Link) rtnl.Options {
	return rtnl.Options{"isolated": optionBool(l.Isolated), "hairpin": optionBool(l.Hairpin)}
}

func altNameRequests(index uint32, old, next string) (reqs []rtnl.Request) {
	if old != next && old != "" {
		reqs = append(reqs, rtnl.DeleteAltNames(rtnl.LinkID{Index: index}, old))
	}
	if old != next && next != "" {
		reqs = append(reqs, rtnl.AddAltNames(rtnl.LinkID{Index: index}, next))
	}
	return reqs
}

// newLinkTasks returns the tasks that create a link. The create request goes to the parent's
// namespace.
func (rb *requestBuilder) newLinkTasks(kind string, n convert.NewLink) ([]task, error) {
	handle, index, err := rb.handleAndIndex(n.NS)
	if err != nil {
		return nil, err
	}
	from := handle
	add := newLinkConfig(n.Link, index)
	add.Kind = rtnl.Kind{Name: kind, Options: n.Options}
	if n.Parent != "" {
		if from, err = rb.table.Handle(n.ParentNS); err != nil {
			return nil, err
		}
		parent, err := from.LinkIndex(n.Parent)
		if err != nil {
			return nil, err
		}
		n.SetParent(&add, parent)
	}
	done := func() { handle.SetIndex(n.Name, index) }
	if from != handle {
		return rb.tasksFrom(from, handle, add, n.Link, done)
	}
	if err := setMaster(handle, &add, n.Master); err != nil {
		return nil, err
	}
	reqs := append([]rtnl.Request{rtnl.AddLink(add)}, rb.completionRequests(n.Link, index, true)...)
	return []task{{handle: handle, reqs: reqs, onSuccess: done}}, nil
}

// tasksFrom returns the tasks that create a link in another namespace than its parent's.
func (rb *requestBuilder) tasksFrom(
	from, to *netns.Handle, add rtnl.LinkConfig, l topo.Link, done func(),
) ([]task, error) {
	var err error
	if add.NS, err = rb.openForRequest(to); err != nil {
		return nil, err
	}
	reqs, err := rb.requestsAfterCreate(to, l, add.Index, true)
	if err != nil {
		return nil, err
	}
	return []task{{handle: from, reqs: []rtnl.Request{rtnl.AddLink(add)}, onSuccess: done}, {handle: to, reqs: reqs}}, nil
}

func optionBool(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// linkGroup returns the link group by which the guard recognizes a link of the lab. It returns nil in
// namespaces that the lab created, because they have no guard, and for bridge ports, because packets
// are forwarded from the bridge and not from its ports.
func linkGroup(h *netns.Handle, l topo.Link) *uint32 {
	if h.Own || l.Master != "" {
		return nil
	}
	group := uint32(nft.LinkGroup)
	return &group
}
