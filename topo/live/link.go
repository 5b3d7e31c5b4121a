package live

import (
	"cmp"
	"fmt"
	"reflect"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// From <linux/if_link.h>: IN6_ADDR_GEN_MODE_NONE.
const addrGenNone = 1

// linkBatch is the number of links created together: with a request for the mark of each,
// they fit into one system call. It also limits the number of open namespace files.
const linkBatch = maxRequests / 2

// linkStage creates or changes links. It sends links of one type together; links of a later
// type may have parents of an earlier type.
func (x *executor) linkStage(stage []topo.Step, results []result) {
	for from := 0; from < len(stage); {
		to := from
		for to < len(stage) && to-from < linkBatch && reflect.TypeOf(stage[to].Want) == reflect.TypeOf(stage[from].Want) {
			to++
		}
		x.linksOfType(stage, from, to, results)
		from = to
	}
}

func (x *executor) linksOfType(stage []topo.Step, from, to int, results []result) {
	var near, far []task
	for i := from; i < to; i++ {
		tasks, err := x.linkTasks(stage[i])
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
	x.closeRequestFiles()
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
func (k *Kernel) linkTasks(s topo.Step) ([]task, error) {
	if s.Op() == topo.Change {
		return k.changeTasks(s)
	}
	switch o := s.Want.(type) {
	case topo.Bridge:
		return k.bridgeTasks(o)
	case topo.Veth:
		return k.vethTasks(o)
	case topo.Dummy:
		return k.newLinkTasks(o.Link, "", "", rtnl.Kind{Name: "dummy"})
	case topo.VLAN:
		return k.newLinkTasks(o.Link, o.NS, o.Parent, rtnl.Kind{Name: "vlan", Options: rtnl.Options{"id": uint64(o.ID)}})
	case topo.VXLAN:
		return k.vxlanTasks(o)
	case topo.Macvlan:
		options := modeOption(naming.LabMacvlanModes, o.Mode)
		return k.newLinkTasks(o.Link, o.ParentNS, o.Parent, rtnl.Kind{Name: "macvlan", Options: options})
	case topo.Ipvlan:
		options := modeOption(naming.IpvlanModes, o.Mode)
		return k.newLinkTasks(o.Link, o.ParentNS, o.Parent, rtnl.Kind{Name: "ipvlan", Options: options})
	}
	return nil, fmt.Errorf("%T is not a link", s.Want)
}

// modeOption returns the option for a mode of a macvlan or ipvlan link. "" is the first mode.
func modeOption(modes naming.Modes, mode string) rtnl.Options {
	number, _ := modes.Number(cmp.Or(mode, modes[0].Name))
	return rtnl.Options{"mode": number}
}

// bridgeTasks sets a bridge's MTU and MAC after the bridge exists: values from the create
// request would change with its ports. The create request has the MAC, too: otherwise udev
// would replace the MAC, which it takes for random.
func (k *Kernel) bridgeTasks(b topo.Bridge) ([]task, error) {
	h, index, err := k.handleAndIndex(b.NS)
	if err != nil {
		return nil, err
	}
	kind := rtnl.Kind{Name: "bridge", Options: bridgeOptions(topo.Bridge{}, b)}
	add := rtnl.LinkConfig{Name: b.Name, Index: index, Address: lladdr(b.MAC), Kind: kind}
	set := rtnl.LinkConfig{MTU: uint32(b.MTU), Address: lladdr(b.MAC), Alias: k.alias(), Group: h.linkGroup(b.Link)}
	reqs := []rtnl.Request{rtnl.AddLink(add), rtnl.SetLink(rtnl.LinkID{Index: index}, set)}
	reqs = append(reqs, altNameRequests(index, "", b.AltName)...)
	return []task{{handle: h, reqs: reqs, onSuccess: func() { h.setIndex(b.Name, index) }}}, nil
}

func bridgeOptions(was, b topo.Bridge) rtnl.Options {
	options := rtnl.Options{}
	for name, value := range b.OptionsSince(was) {
		options[name] = value
	}
	return options
}

// handleAndIndex returns the handle of a new link's namespace and the link's index.
func (k *Kernel) handleAndIndex(ns string) (*netnsHandle, uint32, error) {
	h, err := k.handle(ns)
	if err != nil {
		return nil, 0, err
	}
	index, err := h.newIndex()
	return h, index, err
}

func (k *Kernel) alias() *string {
	mark := mark.Of(k.lab)
	return &mark
}

// vethTasks creates both ends in one request, each in its namespace with its name. Requests
// in the far end's namespace set what the create request cannot.
func (k *Kernel) vethTasks(v topo.Veth) ([]task, error) {
	near, nearIndex, err := k.handleAndIndex(v.Ends[0].NS)
	if err != nil {
		return nil, err
	}
	far, farIndex, err := k.handleAndIndex(v.Ends[1].NS)
	if err != nil {
		return nil, err
	}
	if farIndex == nearIndex {
		// If a link's parent index equals its own index, the kernel treats it as a link without
		// a parent and reports its carrier up to one second late.
		if farIndex, err = far.newIndex(); err != nil {
			return nil, err
		}
	}
	add, peer := newLinkConfig(v.Ends[0], nearIndex), newLinkConfig(v.Ends[1], farIndex)
	add.Limits, peer.Limits = singleQueue, singleQueue
	if far != near {
		if peer.NS, err = k.openForRequest(far); err != nil {
			return nil, err
		}
	}
	if err := near.setMaster(&add, v.Ends[0].Master); err != nil {
		return nil, err
	}
	add.Kind = rtnl.Kind{Name: "veth", Peer: &peer}
	tasks := []task{{
		handle: near,
		reqs:   append([]rtnl.Request{rtnl.AddLink(add)}, k.completionRequests(v.Ends[0], nearIndex, true)...),
		onSuccess: func() {
			near.setIndex(v.Ends[0].Name, nearIndex)
			far.setIndex(v.Ends[1].Name, farIndex)
		},
	}}
	set := rtnl.LinkConfig{}
	if err := far.setMaster(&set, v.Ends[1].Master); err != nil {
		return nil, err
	}
	var reqs []rtnl.Request
	if set.Master != nil {
		reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: farIndex}, set))
	}
	// The near end's mark identifies the pair. The far end needs its own mark in a foreign
	// namespace, and also if the lab created both namespaces: one may be gone before the other.
	reqs = append(reqs, k.completionRequests(v.Ends[1], farIndex, !far.own || near.own)...)
	if len(reqs) > 0 {
		tasks = append(tasks, task{handle: far, reqs: reqs})
	}
	return tasks, nil
}

// singleQueue gives a veth end one queue, which it would end up with anyway. Otherwise the
// kernel creates one queue per CPU and removes the others again, which takes an RCU grace
// period per end.
var singleQueue = rtnl.Limits{TxQueues: 1, RxQueues: 1}

// newLinkConfig returns the attributes that the create request can set.
func newLinkConfig(l topo.Link, index uint32) rtnl.LinkConfig {
	return rtnl.LinkConfig{Name: l.Name, Index: index, MTU: uint32(l.MTU), Address: lladdr(l.MAC)}
}

func lladdr(m topo.MAC) rtnl.LLAddr {
	if m.IsZero() {
		return ""
	}
	return rtnl.LLAddr(m[:])
}

// setMaster sets the master in a request; "" sets none.
func (h *netnsHandle) setMaster(c *rtnl.LinkConfig, master string) error {
	if master == "" {
		return nil
	}
	i, err := h.linkIndex(master)
	if err != nil {
		return err
	}
	c.Master = &i
	return nil
}

// completionRequests returns the requests for attributes that a create request cannot set:
// the mark, bridge port options and the altname. A bridge port also gets no IPv6 link-local
// address: it needs none, nor the packets of duplicate address detection.
func (k *Kernel) completionRequests(l topo.Link, index uint32, mark bool) []rtnl.Request {
	set, needed := rtnl.LinkConfig{}, mark
	if mark {
		set.Alias = k.alias()
		if h, err := k.handle(l.NS); err == nil {
			set.Group = h.linkGroup(l)
		}
	}
	if l.Master != "" {
		if k.ipv6 && l.CarriesIPv6() {
			none := uint8(addrGenNone)
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

// newLinkTasks returns the tasks that create a link, with a parent unless parent is "". The
// create request goes to the parent's namespace.
func (k *Kernel) newLinkTasks(l topo.Link, parentNS, parent string, kind rtnl.Kind) ([]task, error) {
	handle, index, err := k.handleAndIndex(l.NS)
	if err != nil {
		return nil, err
	}
	from := handle
	add := newLinkConfig(l, index)
	add.Kind = kind
	if parent != "" {
		if from, err = k.handle(parentNS); err != nil {
			return nil, err
		}
		if add.Parent, err = from.linkIndex(parent); err != nil {
			return nil, err
		}
	}
	done := func() { handle.setIndex(l.Name, index) }
	if from != handle {
		if add.NS, err = k.openForRequest(handle); err != nil {
			return nil, err
		}
		set := rtnl.LinkConfig{}
		if err := handle.setMaster(&set, l.Master); err != nil {
			return nil, err
		}
		reqs := k.completionRequests(l, index, true)
		if set.Master != nil {
			reqs = append([]rtnl.Request{rtnl.SetLink(rtnl.LinkID{Index: index}, set)}, reqs...)
		}
		created := task{handle: from, reqs: []rtnl.Request{rtnl.AddLink(add)}, onSuccess: done}
		return []task{created, {handle: handle, reqs: reqs}}, nil
	}
	if err := handle.setMaster(&add, l.Master); err != nil {
		return nil, err
	}
	reqs := append([]rtnl.Request{rtnl.AddLink(add)}, k.completionRequests(l, index, true)...)
	return []task{{handle: handle, reqs: reqs, onSuccess: done}}, nil
}

func (k *Kernel) vxlanTasks(v topo.VXLAN) ([]task, error) {
	o := rtnl.Options{"id": uint64(v.ID), "dstport": uint64(cmp.Or(v.Port, topo.VXLANPort)), "learning": uint64(1)}
	if v.Local.IsValid() {
		o["local"] = v.Local
	}
	if v.Remote.IsValid() {
		o["remote"] = v.Remote
	}
	if v.Parent != "" {
		h, err := k.handle(v.NS)
		if err != nil {
			return nil, err
		}
		i, err := h.linkIndex(v.Parent)
		if err != nil {
			return nil, err
		}
		o["link"] = uint64(i)
	}
	return k.newLinkTasks(v.Link, "", "", rtnl.Kind{Name: "vxlan", Options: o})
}

// changeTasks returns the tasks that change a link without replacing it.
func (k *Kernel) changeTasks(s topo.Step) ([]task, error) {
	was, next := s.Have.(topo.LinkObject).Links(), s.Want.(topo.LinkObject).Links()
	var tasks []task
	for i := range next {
		t, err := k.changeLinkTask(was[i], next[i])
		if err != nil {
			return nil, err
		}
		if b, ok := s.Want.(topo.Bridge); ok {
			if o := bridgeOptions(s.Have.(topo.Bridge), b); len(o) > 0 {
				set := rtnl.LinkConfig{Kind: rtnl.Kind{Name: "bridge", Options: o}}
				t.reqs = append(t.reqs, rtnl.SetLink(rtnl.LinkID{Name: b.Name}, set))
			}
		}
		if len(t.reqs) > 0 {
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

func (k *Kernel) changeLinkTask(was, l topo.Link) (task, error) {
	h, err := k.handle(l.NS)
	if err != nil {
		return task{}, err
	}
	index, err := h.linkIndex(l.Name)
	if err != nil {
		return task{}, err
	}
	set, id := rtnl.LinkConfig{}, rtnl.LinkID{Index: index}
	if was.MTU != l.MTU {
		set.MTU = uint32(l.MTU)
	}
	if was.MAC != l.MAC {
		set.Address = lladdr(l.MAC)
	}
	if was.Master != l.Master {
		set.Master = new(uint32) // 0: no master
		if err := h.setMaster(&set, l.Master); err != nil {
			return task{}, err
		}
		if k.ipv6 && l.CarriesIPv6() {
			mode := uint8(0)
			if l.Master != "" {
				mode = addrGenNone
			}
			set.AddrGenMode = &mode
		}
	}
	t := task{handle: h}
	if set.MTU != 0 || set.Address != "" || set.Master != nil {
		t.reqs = append(t.reqs, rtnl.SetLink(id, set))
	}
	newPort := was.Master != l.Master && (l.Isolated || l.Hairpin)
	if l.Master != "" && (newPort || was.Isolated != l.Isolated || was.Hairpin != l.Hairpin) {
		t.reqs = append(t.reqs, rtnl.SetLink(id, rtnl.LinkConfig{PortKind: "bridge_slave", Port: portOptions(l)}))
	}
	t.reqs = append(t.reqs, altNameRequests(index, was.AltName, l.AltName)...)
	return t, nil
}

func optionBool(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
