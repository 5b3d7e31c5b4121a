//go:build linux

package topo

import (
	"fmt"
	"reflect"

	"github.com/vnet-lab/vnet/rtnl"
)

// From <linux/if_link.h>: IN6_ADDR_GEN_MODE_NONE.
const addrGenNone = 1

// linksAtOnce is how many links are made together: as many as one system call takes, if
// each is marked, and few enough to have the namespaces of all open.
const linksAtOnce = mostRequests / 2

// linkStage makes or changes links. Those of one type go together; a later type
// may stand on an earlier one's.
func (k *Kernel) linkStage(stage []Step, results []result) {
	for from := 0; from < len(stage); {
		to := from
		for to < len(stage) && to-from < linksAtOnce && reflect.TypeOf(stage[to].Want) == reflect.TypeOf(stage[from].Want) {
			to++
		}
		k.linksOfAType(stage, from, to, results)
		from = to
	}
}

func (k *Kernel) linksOfAType(stage []Step, from, to int, results []result) {
	var near, far []task
	for i := from; i < to; i++ {
		tasks, err := k.linkTasks(stage[i])
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
	k.run(near, results)
	k.takeBack()
	var complete []task
	for _, t := range far {
		if results[t.step].err == nil { // else there is nothing to complete
			complete = append(complete, t)
		}
	}
	k.runApart(stage, complete, results)
	k.giveVoice(stage[from:to], results[from:to])
}

// linkTasks are what makes or changes a link: a task in the namespace where it is
// made, and for a cable perhaps one at the far end.
func (k *Kernel) linkTasks(s Step) ([]task, error) {
	if s.Op() == Change {
		return k.changeTasks(s)
	}
	switch o := s.Want.(type) {
	case Bridge:
		return k.bridgeTasks(o)
	case Veth:
		return k.vethTasks(o)
	case Dummy:
		return k.newLink(o.Link, "", "", rtnl.Kind{Name: "dummy"})
	case VLAN:
		return k.newLink(o.Link, o.NS, o.Parent, rtnl.Kind{Name: "vlan", Options: rtnl.Options{"id": uint64(o.ID)}})
	case VXLAN:
		return k.vxlanTasks(o)
	case Macvlan:
		return k.newLink(o.Link, o.ParentNS, o.Parent, rtnl.Kind{Name: "macvlan", Options: rtnl.Options{"mode": macvlanModes[or(o.Mode, "bridge")]}})
	case Ipvlan:
		return k.newLink(o.Link, o.ParentNS, o.Parent, rtnl.Kind{Name: "ipvlan", Options: rtnl.Options{"mode": ipvlanModes[or(o.Mode, "l2")]}})
	}
	return nil, fmt.Errorf("%T is not a link", s.Want)
}

// From <linux/if_link.h>.
var (
	macvlanModes = map[string]uint64{"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
	ipvlanModes  = map[string]uint64{"l2": 0, "l3": 1, "l3s": 2}
)

// bridgeTasks set a bridge's MTU and MAC when it is there: those of its birth
// would change with its ports. It is born with the MAC all the same: udev gives another one, as
// soon as it comes to it, to a link whose own it takes for random.
func (k *Kernel) bridgeTasks(b Bridge) ([]task, error) {
	s, index, err := k.place(b.NS)
	if err != nil {
		return nil, err
	}
	add := rtnl.LinkConfig{Name: b.Name, Index: index, Address: lladdr(b.MAC), Kind: rtnl.Kind{Name: "bridge", Options: bridgeOptions(Bridge{}, b)}}
	set := rtnl.LinkConfig{MTU: uint32(b.MTU), Address: lladdr(b.MAC), Alias: k.alias()}
	reqs := []rtnl.Request{rtnl.AddLink(add), rtnl.SetLink(rtnl.LinkID{Index: index}, set)}
	reqs = append(reqs, altNames(index, "", b.AltName)...)
	return []task{{space: s, reqs: reqs, done: func() { s.met(b.Name, index) }}}, nil
}

func bridgeOptions(was, b Bridge) rtnl.Options {
	options := rtnl.Options{}
	for _, o := range b.optionsSince(was) {
		options[o.name] = o.value
	}
	return options
}

// place is where a link is born, and under which index.
func (k *Kernel) place(ns string) (*space, uint32, error) {
	s, err := k.space(ns)
	if err != nil {
		return nil, 0, err
	}
	index, err := s.newIndex()
	return s, index, err
}

func (k *Kernel) alias() *string {
	mark := Mark(k.lab)
	return &mark
}

// vethTasks make both ends in one request, each in its namespace and under its
// name. What the far end cannot have at birth, it is given from its own namespace.
func (k *Kernel) vethTasks(v Veth) ([]task, error) {
	near, nearIndex, err := k.place(v.Ends[0].NS)
	if err != nil {
		return nil, err
	}
	far, farIndex, err := k.place(v.Ends[1].NS)
	if err != nil {
		return nil, err
	}
	if farIndex == nearIndex {
		// The kernel takes a link that is its own parent for none, and tells of its
		// carrier up to a second late.
		if farIndex, err = far.newIndex(); err != nil {
			return nil, err
		}
	}
	add, peer := bornConfig(v.Ends[0], nearIndex), bornConfig(v.Ends[1], farIndex)
	add.Limits, peer.Limits = oneQueue, oneQueue
	if far != near {
		if peer.NS, err = k.lend(far); err != nil {
			return nil, err
		}
	}
	if err := near.enslave(&add, v.Ends[0].Master); err != nil {
		return nil, err
	}
	add.Kind = rtnl.Kind{Name: "veth", Peer: &peer}
	tasks := []task{{
		space: near,
		reqs:  append([]rtnl.Request{rtnl.AddLink(add)}, k.complete(v.Ends[0], nearIndex, true)...),
		done: func() {
			near.met(v.Ends[0].Name, nearIndex)
			far.met(v.Ends[1].Name, farIndex)
		},
	}}
	set := rtnl.LinkConfig{}
	if err := far.enslave(&set, v.Ends[1].Master); err != nil {
		return nil, err
	}
	var reqs []rtnl.Request
	if set.Master != nil {
		reqs = append(reqs, rtnl.SetLink(rtnl.LinkID{Index: farIndex}, set))
	}
	// Whose the far end of a marked one is, all know. But where both go with their namespaces,
	// one may be gone and the other not yet.
	reqs = append(reqs, k.complete(v.Ends[1], farIndex, !far.own || near.own)...)
	if len(reqs) > 0 {
		tasks = append(tasks, task{space: far, reqs: reqs})
	}
	return tasks, nil
}

// oneQueue is what a cable's end would be left with in any case. Unless it is asked for, the
// kernel makes a queue for each processor, and takes the others away again once nobody can
// be in one, a grace period for each end.
var oneQueue = rtnl.Limits{TxQueues: 1, RxQueues: 1}

// bornConfig is what a link can have at birth.
func bornConfig(l Link, index uint32) rtnl.LinkConfig {
	return rtnl.LinkConfig{Name: l.Name, Index: index, MTU: uint32(l.MTU), Address: lladdr(l.MAC)}
}

func lladdr(m MAC) rtnl.LLAddr {
	if m.IsZero() {
		return ""
	}
	return rtnl.LLAddr(m[:])
}

// enslave puts the master into a request.
func (s *space) enslave(c *rtnl.LinkConfig, master string) error {
	if master == "" {
		return nil
	}
	i, err := s.linkIndex(master)
	if err != nil {
		return err
	}
	c.Master = &i
	return nil
}

// complete are the requests for what no link can have at birth: the mark, a
// port's options, a further name. A port needs no address of its own, nor the
// packets with which the kernel would make sure that it is alone with it.
func (k *Kernel) complete(l Link, index uint32, mark bool) []rtnl.Request {
	set, needed := rtnl.LinkConfig{}, mark
	if mark {
		set.Alias = k.alias()
	}
	if l.Master != "" {
		if k.ipv6 && l.carries6() {
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
	return append(reqs, altNames(index, "", l.AltName)...)
}

func portOptions(l Link) rtnl.Options {
	return rtnl.Options{"isolated": bit(l.Isolated), "hairpin": bit(l.Hairpin)}
}

func altNames(index uint32, was, next string) (reqs []rtnl.Request) {
	if was != next && was != "" {
		reqs = append(reqs, rtnl.DeleteAltNames(rtnl.LinkID{Index: index}, was))
	}
	if was != next && next != "" {
		reqs = append(reqs, rtnl.AddAltNames(rtnl.LinkID{Index: index}, next))
	}
	return reqs
}

// newLink makes a link that stands on another, or on none. Its parent's namespace
// is where the request goes.
func (k *Kernel) newLink(l Link, parentNS, parent string, kind rtnl.Kind) ([]task, error) {
	home, index, err := k.place(l.NS)
	if err != nil {
		return nil, err
	}
	from := home
	add := bornConfig(l, index)
	add.Kind = kind
	if parent != "" {
		if from, err = k.space(parentNS); err != nil {
			return nil, err
		}
		if add.Parent, err = from.linkIndex(parent); err != nil {
			return nil, err
		}
	}
	done := func() { home.met(l.Name, index) }
	if from != home {
		if add.NS, err = k.lend(home); err != nil {
			return nil, err
		}
		set := rtnl.LinkConfig{}
		if err := home.enslave(&set, l.Master); err != nil {
			return nil, err
		}
		reqs := k.complete(l, index, true)
		if set.Master != nil {
			reqs = append([]rtnl.Request{rtnl.SetLink(rtnl.LinkID{Index: index}, set)}, reqs...)
		}
		return []task{{space: from, reqs: []rtnl.Request{rtnl.AddLink(add)}, done: done}, {space: home, reqs: reqs}}, nil
	}
	if err := home.enslave(&add, l.Master); err != nil {
		return nil, err
	}
	reqs := append([]rtnl.Request{rtnl.AddLink(add)}, k.complete(l, index, true)...)
	return []task{{space: home, reqs: reqs, done: done}}, nil
}

func (k *Kernel) vxlanTasks(v VXLAN) ([]task, error) {
	o := rtnl.Options{"id": uint64(v.ID), "dstport": uint64(or(v.Port, vxlanPort)), "learning": uint64(1)}
	if v.Local.IsValid() {
		o["local"] = v.Local
	}
	if v.Remote.IsValid() {
		o["remote"] = v.Remote
	}
	if v.Parent != "" {
		s, err := k.space(v.NS)
		if err != nil {
			return nil, err
		}
		i, err := s.linkIndex(v.Parent)
		if err != nil {
			return nil, err
		}
		o["link"] = uint64(i)
	}
	return k.newLink(v.Link, "", "", rtnl.Kind{Name: "vxlan", Options: o})
}

// changeTasks change in place what can.
func (k *Kernel) changeTasks(s Step) ([]task, error) {
	was, next := s.Have.(linked).links(), s.Want.(linked).links()
	var tasks []task
	for i := range next {
		t, err := k.changeLink(was[i], next[i])
		if err != nil {
			return nil, err
		}
		if b, ok := s.Want.(Bridge); ok {
			if o := bridgeOptions(s.Have.(Bridge), b); len(o) > 0 {
				t.reqs = append(t.reqs, rtnl.SetLink(rtnl.LinkID{Name: b.Name}, rtnl.LinkConfig{Kind: rtnl.Kind{Name: "bridge", Options: o}}))
			}
		}
		if len(t.reqs) > 0 {
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

func (k *Kernel) changeLink(was, l Link) (task, error) {
	s, err := k.space(l.NS)
	if err != nil {
		return task{}, err
	}
	index, err := s.linkIndex(l.Name)
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
		set.Master = new(uint32) // out of the bridge, unless there is another
		if err := s.enslave(&set, l.Master); err != nil {
			return task{}, err
		}
		if k.ipv6 && l.carries6() {
			mode := uint8(0)
			if l.Master != "" {
				mode = addrGenNone
			}
			set.AddrGenMode = &mode
		}
	}
	t := task{space: s}
	if set.MTU != 0 || set.Address != "" || set.Master != nil {
		t.reqs = append(t.reqs, rtnl.SetLink(id, set))
	}
	if l.Master != "" && (was.Master != l.Master && (l.Isolated || l.Hairpin) || was.Isolated != l.Isolated || was.Hairpin != l.Hairpin) {
		t.reqs = append(t.reqs, rtnl.SetLink(id, rtnl.LinkConfig{PortKind: "bridge_slave", Port: portOptions(l)}))
	}
	t.reqs = append(t.reqs, altNames(index, was.AltName, l.AltName)...)
	return t, nil
}
