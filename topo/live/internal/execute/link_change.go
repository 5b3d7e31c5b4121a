package execute

import (
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// changeTasks returns the tasks that change a link without replacing it.
func (rb *requestBuilder) changeTasks(s topo.Step) ([]task, error) {
	was, next := s.Have.(topo.LinkObject).Links(), s.Want.(topo.LinkObject).Links()
	var tasks []task
	for i := range next {
		t, err := rb.changeLinkTask(was[i], next[i])
		if err != nil {
			return nil, err
		}
		if b, ok := s.Want.(topo.Bridge); ok {
			if o := convert.BridgeOptions(s.Have.(topo.Bridge), b); len(o) > 0 {
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

func (rb *requestBuilder) changeLinkTask(was, l topo.Link) (task, error) {
	h, err := rb.table.Handle(l.NS)
	if err != nil {
		return task{}, err
	}
	index, err := h.LinkIndex(l.Name)
	if err != nil {
		return task{}, err
	}
	set, id := rtnl.LinkConfig{}, rtnl.LinkID{Index: index}
	if was.MTU != l.MTU {
		set.MTU = uint32(l.MTU)
	}
	if was.MAC != l.MAC {
		set.Address = convert.LLAddr(l.MAC)
	}
	if was.Master != l.Master {
		if err := rb.setNewMaster(h, &set, l); err != nil {
			return task{}, err
		}
	}
	t := task{handle: h}
	if set.MTU != 0 || set.Address != "" || set.Master != nil {
		t.reqs = append(t.reqs, rtnl.SetLink(id, set))
	}
	if set.Address != "" {
		t.reqs = append(t.reqs, permanentNeighs(h, index)...)
	}
	newPort := was.Master != l.Master && (l.Isolated || l.Hairpin)
	if l.Master != "" && (newPort || was.Isolated != l.Isolated || was.Hairpin != l.Hairpin) {
		t.reqs = append(t.reqs, rtnl.SetLink(id, rtnl.LinkConfig{PortKind: "bridge_slave", Port: portOptions(l)}))
	}
	t.reqs = append(t.reqs, altNameRequests(index, was.AltName, l.AltName)...)
	return t, nil
}

// permanentNeighs returns requests for the permanent neighbour entries of a link: the kernel deletes
// them when the link's MAC address changes.
func permanentNeighs(h *netns.Handle, link uint32) (reqs []rtnl.Request) {
	if h.Snapshot == nil {
		return nil
	}
	for _, n := range h.Snapshot.Neighs {
		if n.Link == link && n.State&unix.NUD_PERMANENT != 0 && !n.Proxy() {
			reqs = append(reqs, rtnl.ReplaceNeigh(n))
		}
	}
	return reqs
}

// setNewMaster sets the master of a link that exists. A port needs no link-local address.
func (rb *requestBuilder) setNewMaster(h *netns.Handle, set *rtnl.LinkConfig, l topo.Link) error {
	set.Master = new(uint32) // 0: no master
	if err := setMaster(h, set, l.Master); err != nil {
		return err
	}
	if rb.table.IPv6 && l.CarriesIPv6() {
		mode := rtnl.AddrGenEUI64
		if l.Master != "" {
			mode = rtnl.AddrGenNone
		}
		set.AddrGenMode = &mode
	}
	return nil
}
