package live

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// foreignState is the part of a namespace's state that does not belong to the lab.
type foreignState struct {
	sockets  []listeningSocket
	forwards []foreignForward
	others   *ruleset.DestinationNAT // of all that vnet did not make
	local    []netip.Addr            // the addresses of the namespace

	drops        []ruleset.Drop // chains that drop packets of the lab
	forwards4or6 bool           // the plan makes the namespace forward packets
	addrs        []rtnl.Addr
	links        map[uint32]string
}

// A listeningSocket is a TCP socket that listens or an unconnected UDP socket.
type listeningSocket struct {
	proto string
	addr  netip.AddrPort
}

// A foreignForward is a port forward that does not belong to the lab.
type foreignForward struct {
	forward nft.Forward
	owner   string
}

// readForeignState reads what can conflict with a plan in a namespace.
func (c conflictFinder) readForeignState(h *netns.Handle, p topo.Plan) (*foreignState, error) {
	o := &foreignState{links: map[uint32]string{}}
	var err error
	if planCreates[topo.Sysctl](p, h.Name) || planCreates[topo.Bridge](p, h.Name) {
		if err = o.readDrops(h, p); err != nil {
			return nil, err
		}
	}
	forwards := planCreates[topo.Forward](p, h.Name)
	if forwards || planCreates[topo.Address](p, h.Name) {
		if err = o.readAddrs(c.table.Lab, h); err != nil {
			return nil, err
		}
	}
	if !forwards {
		return o, nil
	}
	if o.forwards, err = c.ownForwards(h); err != nil {
		return nil, err
	}
	conn, err := h.NFT()
	if err != nil {
		return nil, err
	}
	return o, h.RunInside(func() error {
		o.sockets = listeners()
		o.others, err = ruleset.ReadDestinationNAT(conn, isOwnTable)
		return err
	})
}

func planCreates[T topo.Object](p topo.Plan, ns string) bool {
	for _, s := range p {
		if o, ok := s.Want.(T); ok && o.Key().NS == ns {
			return true
		}
	}
	return false
}

func (o *foreignState) readAddrs(lab string, h *netns.Handle) error {
	links, err := h.Conn.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Alias != mark.Of(lab) {
			o.links[l.Index] = l.Name
		}
	}
	o.addrs, err = h.Conn.Addrs(rtnl.AddrFilter{})
	for _, a := range o.addrs {
		o.local = append(o.local, a.Prefix.Addr())
	}
	return err
}

// isOwnTable reports whether a table is of a lab or of vnet nat.
func isOwnTable(table string) bool {
	return table == NATTable || strings.HasPrefix(table, mark.Table(""))
}

// ownForwards returns the forwards of other labs, of networks of package member, and of vnet nat. It leaves out those
// that c is for.
func (c conflictFinder) ownForwards(h *netns.Handle) (list []foreignForward, err error) {
	conn, err := h.NFT()
	if err != nil {
		return nil, err
	}
	tables, err := conn.Tables()
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		owner := "vnet nat"
		if lab, ok := strings.CutPrefix(table, mark.Table("")); ok {
			owner = "lab " + lab
			if network, ok := strings.CutPrefix(lab, "_"); ok { // of package member
				owner = "network " + network
			}
		}
		if !isOwnTable(table) || table == mark.Table(c.table.Lab) || c.table.Lab == handLab && table == NATTable {
			continue
		}
		rules, err := conn.Read(table)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if f, ok := r.Rule.(nft.Forward); ok {
				list = append(list, foreignForward{f, owner})
			}
		}
	}
	return list, nil
}

// forwardConflict describes who else has the port of a forward; "" if nobody.
func (o *foreignState) forwardConflict(f topo.Forward) (string, error) {
	for _, other := range o.forwards {
		r := other.forward
		if r.Proto.String() == f.Proto && r.Ports.First <= f.Last && f.First <= r.Ports.Last &&
			r.To.Is4() == f.To.Is4() && linux.ListenOverlaps(r.Addr, f.Addr) {
			return fmt.Sprintf("%s already forwards this port: %s", other.owner, r), nil
		}
	}
	rule, err := convert.Rule(f)
	if err != nil {
		return "", err
	}
	if taken, err := o.others.Taking(rule.(nft.Forward), o.local); taken != "" || err != nil {
		return taken + " already takes packets to this port", err
	}
	for _, l := range o.sockets {
		port := l.addr.Port()
		if l.proto == f.Proto && f.First <= port && port <= f.Last && forwardCovers(l.addr.Addr(), f) {
			return fmt.Sprintf("a program already listens on %s: it will not be reachable there any more", l.addr), nil
		}
	}
	return "", nil
}

// forwardCovers reports whether a forward takes packets to a socket's address.
func forwardCovers(addr netip.Addr, f topo.Forward) bool {
	switch {
	case addr.IsUnspecified():
		return addr.Is6() || f.To.Is4() // an IPv6 socket accepts IPv4, too
	case f.Addr.IsValid():
		return addr == f.Addr
	}
	return addr.Is4() == f.To.Is4()
}

// portUses returns the conflicts of a link that becomes a port of the lab's bridge: another bridge, and addresses.
func portUses(h *netns.Handle, o topo.Port) (uses []Conflict, err error) {
	name := o.Link
	l, err := h.Conn.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return nil, nil // up reports it
	}
	if l.Master != 0 {
		if master, err := h.Conn.Link(rtnl.LinkID{Index: l.Master}); err == nil {
			uses = append(uses, Conflict{o, name + " is a port of " + master.Name + ", and is removed from it"})
		}
	}
	addrs, err := h.Conn.Addrs(rtnl.AddrFilter{Link: l.Index})
	for _, a := range addrs {
		if !a.Prefix.Addr().IsLinkLocalUnicast() {
			uses = append(uses, Conflict{o, name + " has the address " + a.Prefix.String() +
				", which does not work while the link is a port"})
		}
	}
	return uses, err
}

// Drops returns the foreign chains of a namespace that drop or may drop packets; see [ruleset.Drops].
func Drops(c *nft.Conn, packets func(ruleset.BaseChain) []ruleset.Packet) ([]ruleset.Drop, error) {
	return ruleset.Drops(c, func(b ruleset.BaseChain) []ruleset.Packet {
		if b.Table == nft.GuardTable || b.Table == ruleset.TraceTable || isOwnTable(b.Table) {
			return nil
		}
		return packets(b)
	})
}

// readDrops reads the chains that drop packets of a plan's objects which a namespace forwards or bridges.
func (o *foreignState) readDrops(h *netns.Handle, p topo.Plan) error {
	conn, err := h.NFT()
	if err != nil {
		return err
	}
	var objects []topo.Object
	for _, s := range p {
		if s.Want != nil {
			objects = append(objects, s.Want)
		}
	}
	group := uint32(nft.LinkGroup)
	if h.Own {
		group = 0
	}
	return h.RunInside(func() error {
		t := LabPacketsOf(objects, h.Name, group, func(key string) (n int, ok bool) {
			text, err := nsfs.Sysctl(key) // none without br_netfilter
			n, numErr := strconv.Atoi(text)
			return n, err == nil && numErr == nil
		})
		o.forwards4or6 = t.forwards[0] || t.forwards[1]
		o.drops, err = Drops(conn, func(b ruleset.BaseChain) []ruleset.Packet {
			if b.Family != "bridge" && (b.Hook == ruleset.Input || b.Hook == ruleset.Output) {
				return nil // of the namespace itself
			}
			return t.Packets(b)
		})
		return err
	})
}

// drop returns the next chains that drop packets of an object, each chain once: of a bridge, or of the setting that
// makes the namespace forward packets.
func (o *foreignState) drop(object topo.Object) (conflicts []Conflict) {
	o.drops = slices.DeleteFunc(o.drops, func(d ruleset.Drop) bool {
		bridged := d.Family == "bridge" || d.Packet.In != "" && d.Packet.In == d.Packet.Out || !o.forwards4or6
		dropped := false
		switch object := object.(type) {
		case topo.Sysctl:
			dropped = !bridged && (object.Name == linux.ForwardingIPv4 && d.Family != "ip6" ||
				object.Name == linux.ForwardingIPv6 && d.Family != "ip")
		case topo.Bridge:
			dropped = bridged
		}
		if dropped {
			conflicts = append(conflicts,
				Conflict{object, d.String() + " " + d.Verb() + " forwarded packets; it has to accept those of the lab"})
		}
		return dropped
	})
	return conflicts
}

// ownName returns the name of the link with an alternative name; "" if the name is its own, or if
// there is no such link.
func ownName(h *netns.Handle, name string) string {
	if l, err := h.Conn.Link(rtnl.LinkID{Name: name}); err == nil && l.Name != name {
		return l.Name
	}
	return ""
}
