package topo

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/vnet-lab/vnet/internal/display"
)

// DefaultMTU is the MTU of a link that sets none, in bytes.
const DefaultMTU = 1500

// A Link has the properties that all kinds of network devices share. Bridge, Veth
// and the others contain it. Whether it is up is a separate object, [Up].
type Link struct {
	NS   string
	Name string // at most 15 bytes
	// AltName is an alternative name (ip-link(8)'s altname), up to 127 bytes; "" means none.
	AltName string
	// MAC is required, except for ipvlan, which has its parent's. An address that
	// the kernel chose would differ each time, and other programs might change it.
	MAC MAC
	MTU int // bytes; 0 means 1500
	// Master is the bridge whose port the link is, in the same namespace; "" means none.
	Master string
	// Isolated stops traffic between this port and the bridge's other isolated ports.
	Isolated bool
	// Hairpin lets the bridge send packets back to the port they came from.
	Hairpin bool
}

// Key implements [Object].
func (l Link) Key() Key { return Key{OfLink, l.NS, l.Name} }

// words returns the properties in ip-link(8)'s words.
func (l Link) words() string {
	var b strings.Builder
	b.WriteString("link " + l.Name)
	if !l.MAC.IsZero() {
		b.WriteString(" address " + l.MAC.String())
	}
	if l.MTU != 0 && l.MTU != DefaultMTU {
		b.WriteString(" mtu " + strconv.Itoa(l.MTU))
	}
	if l.Master != "" {
		b.WriteString(" master " + l.Master)
	}
	if l.Isolated {
		b.WriteString(" isolated on")
	}
	if l.Hairpin {
		b.WriteString(" hairpin on")
	}
	return b.String()
}

func (l Link) needs() []Key {
	keys := []Key{{OfNamespace, l.NS, ""}}
	if l.Master != "" {
		keys = append(keys, Key{OfLink, l.NS, l.Master})
	}
	return keys
}

// LinkObject is an object with one link, or two (a veth pair).
type LinkObject interface{ Links() []Link }

// Links returns the link itself.
func (l Link) Links() []Link { return []Link{l} }

func (l Link) provides() []Key { return []Key{l.Key()} }

// leastMTU6 is the smallest MTU for IPv6 (RFC 8200, section 5). The kernel removes
// the IPv6 addresses of a link with a smaller one.
const leastMTU6 = 1280

// CarriesIPv6 reports whether the MTU allows IPv6.
func (l Link) CarriesIPv6() bool { return l.MTU == 0 || l.MTU >= leastMTU6 }

// inPlace reports whether the properties in Link can change in place.
func (l Link) inPlace(next Link) bool {
	return l.Key() == next.Key() && l.CarriesIPv6() == next.CarriesIPv6()
}

func (l Link) normalLink() Link {
	if l.MTU == 0 {
		l.MTU = DefaultMTU
	}
	if l.Master == "" {
		l.Isolated, l.Hairpin = false, false
	}
	return l
}

// A Bridge is a bridge device; see ip-link(8).
type Bridge struct {
	Link
	STP bool // run the spanning tree protocol
	// VLANFiltering separates VLANs. Ports and the bridge itself are then only in
	// the VLANs of their [BridgeVLAN] objects.
	VLANFiltering bool
}

// String is "link v-net-0 address 02:… type bridge".
func (b Bridge) String() string {
	s := display.In(b.NS) + b.words() + " type bridge"
	if b.STP {
		s += " stp_state 1"
	}
	if b.VLANFiltering {
		s += " vlan_filtering 1"
	}
	return s
}

// A LinkOption is an option of a kind of link; name is ip-link(8)'s.
type LinkOption struct {
	Name  string
	Value uint64
}

// OptionsSince returns the options in which b differs from was; the zero Bridge stands
// for a new one. Equal options are left out, because a kernel without VLAN filtering
// refuses even to turn it off.
func (b Bridge) OptionsSince(was Bridge) (options []LinkOption) {
	if b.STP != was.STP {
		options = append(options, LinkOption{"stp_state", bit(b.STP)})
	}
	if b.VLANFiltering != was.VLANFiltering { // ports are in no VLAN by default
		options = append(options, LinkOption{"vlan_filtering", bit(b.VLANFiltering)},
			LinkOption{"vlan_default_pvid", bit(!b.VLANFiltering)})
	}
	return options
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (b Bridge) canBecome(next Object) bool {
	n, ok := next.(Bridge)
	return ok && b.inPlace(n.Link)
}

func (b Bridge) normal() Object {
	b.Link = b.normalLink()
	return b
}

// A Veth is a veth pair: two links, each the other's peer. The order of the ends does
// not matter; [State.Add] sorts them by namespace and name.
type Veth struct {
	Ends [2]Link
}

// Links returns both ends.
func (v Veth) Links() []Link { return v.Ends[:] }

// Key implements [Object]. It is the key of the first end.
func (v Veth) Key() Key { return v.sorted().Ends[0].Key() }

// String is "link red-eth0 address 02:… master v-net-0 type veth peer red: link eth0 address 02:…".
func (v Veth) String() string {
	return display.In(v.Ends[0].NS) + v.Ends[0].words() + " type veth peer " + display.In(v.Ends[1].NS) + v.Ends[1].words()
}

func (v Veth) needs() []Key { return append(v.Ends[0].needs(), v.Ends[1].needs()...) }

func (v Veth) provides() []Key {
	v = v.sorted()
	return []Key{v.Ends[0].Key(), v.Ends[1].Key()}
}

func (v Veth) canBecome(next Object) bool {
	n, ok := next.(Veth)
	return ok && v.Ends[0].inPlace(n.Ends[0]) && v.Ends[1].inPlace(n.Ends[1])
}

func (v Veth) normal() Object {
	v = v.sorted()
	for i := range v.Ends {
		v.Ends[i] = v.Ends[i].normalLink()
	}
	return v
}

func (v Veth) sorted() Veth {
	if compareKeys(v.Ends[1].Key(), v.Ends[0].Key()) < 0 {
		v.Ends[0], v.Ends[1] = v.Ends[1], v.Ends[0]
	}
	return v
}

// A Dummy is a dummy device: a link for addresses that drops all packets.
type Dummy struct{ Link }

// String is "red: link d0 address 02:… type dummy".
func (d Dummy) String() string { return display.In(d.NS) + d.words() + " type dummy" }

func (d Dummy) canBecome(next Object) bool {
	n, ok := next.(Dummy)
	return ok && d.inPlace(n.Link)
}

func (d Dummy) normal() Object {
	d.Link = d.normalLink()
	return d
}

// A VLAN is a device for one VLAN (802.1Q) of another link in its namespace.
type VLAN struct {
	Link
	Parent string
	ID     uint16 // 1–4094
}

// String is "red: link eth0.10 address 02:… link eth0 type vlan id 10".
func (v VLAN) String() string {
	return fmt.Sprintf("%s%s link %s type vlan id %d", display.In(v.NS), v.words(), v.Parent, v.ID)
}

func (v VLAN) needs() []Key { return append(v.Link.needs(), Key{OfLink, v.NS, v.Parent}) }

func (v VLAN) canBecome(next Object) bool {
	n, ok := next.(VLAN)
	return ok && v.inPlace(n.Link) && v.Parent == n.Parent && v.ID == n.ID
}

func (v VLAN) normal() Object {
	v.Link = v.normalLink()
	return v
}

// A VXLAN is a tunnel for Ethernet over UDP; RFC 7348.
type VXLAN struct {
	Link
	ID     uint32     // network identifier, 0–16777215
	Local  netip.Addr // source address; invalid means that the routes choose it
	Remote netip.Addr // the other machine, or a multicast group
	Parent string     // the link for a multicast group; "" means that the routes choose it
	Port   uint16     // UDP port; 0 means 4789
}

// VXLANPort is the UDP port of VXLAN that IANA assigned. The kernel's default is an older one.
const VXLANPort = 4789

// String is "east: link vx0 … type vxlan id 50 local 10.50.0.1 remote 10.50.0.2 dstport 4789".
func (v VXLAN) String() string { return display.In(v.NS) + v.words() + v.typeWords() }

func (v VXLAN) typeWords() string {
	s := fmt.Sprintf(" type vxlan id %d", v.ID)
	if v.Local.IsValid() {
		s += " local " + v.Local.String()
	}
	switch {
	case v.Remote.IsMulticast():
		s += " group " + v.Remote.String()
	case v.Remote.IsValid():
		s += " remote " + v.Remote.String()
	}
	if v.Parent != "" {
		s += " dev " + v.Parent
	}
	return s + " dstport " + strconv.Itoa(int(cmp.Or(v.Port, VXLANPort)))
}

func (v VXLAN) needs() []Key {
	if v.Parent == "" {
		return v.Link.needs()
	}
	return append(v.Link.needs(), Key{OfLink, v.NS, v.Parent})
}

func (v VXLAN) canBecome(next Object) bool {
	n, ok := next.(VXLAN)
	n2 := n
	n2.Link = v.Link
	return ok && v.inPlace(n.Link) && v == n2
}

func (v VXLAN) normal() Object {
	v.Link, v.Port = v.normalLink(), cmp.Or(v.Port, VXLANPort)
	return v
}

// A Macvlan is a macvlan device: it uses its parent's link layer with its own MAC.
type Macvlan struct {
	Link
	ParentNS string // the parent's namespace, which may be another
	Parent   string
	Mode     string // bridge, private, vepa, passthru; "" means bridge
}

// String is "red: link mv0 address 02:… link eth0 type macvlan mode bridge".
func (m Macvlan) String() string {
	return display.In(m.NS) + m.words() + " link " + display.In(m.ParentNS) + m.Parent + " type macvlan mode " + cmp.Or(m.Mode, "bridge")
}

func (m Macvlan) needs() []Key {
	return append(m.Link.needs(), Key{OfNamespace, m.ParentNS, ""}, Key{OfLink, m.ParentNS, m.Parent})
}

func (m Macvlan) canBecome(next Object) bool {
	n, ok := next.(Macvlan)
	return ok && m.inPlace(n.Link) && m.ParentNS == n.ParentNS && m.Parent == n.Parent && m.Mode == n.Mode
}

func (m Macvlan) normal() Object {
	m.Link, m.Mode = m.normalLink(), cmp.Or(m.Mode, "bridge")
	return m
}

// An Ipvlan is an ipvlan device: it uses its parent's link layer and MAC.
type Ipvlan struct {
	Link            // without MAC
	ParentNS string // the parent's namespace, which may be another
	Parent   string
	Mode     string // l2, l3, l3s; "" means l2
}

// String is "red: link iv0 link eth0 type ipvlan mode l2".
func (i Ipvlan) String() string {
	return display.In(i.NS) + i.words() + " link " + display.In(i.ParentNS) + i.Parent + " type ipvlan mode " + cmp.Or(i.Mode, "l2")
}

func (i Ipvlan) needs() []Key {
	return append(i.Link.needs(), Key{OfNamespace, i.ParentNS, ""}, Key{OfLink, i.ParentNS, i.Parent})
}

func (i Ipvlan) canBecome(next Object) bool {
	n, ok := next.(Ipvlan)
	return ok && i.inPlace(n.Link) && i.ParentNS == n.ParentNS && i.Parent == n.Parent && i.Mode == n.Mode
}

func (i Ipvlan) normal() Object {
	i.Link, i.Mode = i.normalLink(), cmp.Or(i.Mode, "l2")
	i.MAC = MAC{}
	return i
}

// A Port makes a link that the lab did not create a port of a bridge of the lab:
// an uplink, for example the machine's eth0. vnet never deletes the link.
type Port struct {
	NS     string
	Link   string
	Master string
}

// Key implements [Object].
func (p Port) Key() Key { return Key{OfPort, p.NS, p.Link} }

// String is "link eth0 master v-net-0".
func (p Port) String() string { return display.In(p.NS) + "link " + p.Link + " master " + p.Master }

func (p Port) needs() []Key {
	return []Key{{OfNamespace, p.NS, ""}, {OfLink, p.NS, p.Master}}
}
func (p Port) provides() []Key       { return []Key{p.Key()} }
func (p Port) canBecome(Object) bool { return true }
func (p Port) normal() Object        { return p }

// A BridgeVLAN adds a bridge's port, or the bridge itself, to a VLAN, as bridge(8)
// does with "vlan add".
type BridgeVLAN struct {
	NS   string
	Link string // the port, or the bridge itself
	ID   uint16 // 1–4094
	// Untagged sends packets of the VLAN without a tag. PVID puts received packets
	// without a tag into the VLAN; a port has at most one.
	Untagged, PVID bool
}

// Key implements [Object].
func (v BridgeVLAN) Key() Key {
	return Key{OfBridgeVLAN, v.NS, "dev " + v.Link + " vid " + strconv.Itoa(int(v.ID))}
}

// String is "vlan dev red-eth0 vid 10 pvid untagged".
func (v BridgeVLAN) String() string {
	s := display.In(v.NS) + "vlan " + v.Key().Name
	if v.PVID {
		s += " pvid"
	}
	if v.Untagged {
		s += " untagged"
	}
	return s
}

func (v BridgeVLAN) needs() []Key {
	return []Key{{OfLink, v.NS, v.Link}, {OfPort, v.NS, v.Link}}
}
func (v BridgeVLAN) provides() []Key       { return []Key{v.Key()} }
func (v BridgeVLAN) canBecome(Object) bool { return true }
func (v BridgeVLAN) normal() Object        { return v }

// A Qdisc is a netem qdisc: it delays, drops or limits the packets that a link sends.
type Qdisc struct {
	NS   string
	Link string
	Impairment
}

// Key implements [Object].
func (q Qdisc) Key() Key { return Key{OfQdisc, q.NS, q.Link} }

// String is "red: qdisc dev eth0 netem delay 50ms loss 2% rate 1000000bit".
func (q Qdisc) String() string { return display.In(q.NS) + "qdisc dev " + q.Link + " " + q.words() }

// words returns the properties in tc-netem(8)'s words.
func (q Qdisc) words() string {
	s := "netem"
	if q.Delay != 0 {
		s += " delay " + milliseconds(q.Delay)
		if q.Jitter != 0 {
			s += " " + milliseconds(q.Jitter)
		}
	}
	if q.Loss != 0 {
		s += " loss " + strconv.FormatFloat(q.Loss, 'g', -1, 64) + "%"
	}
	if q.Rate != 0 {
		s += " rate " + strconv.FormatUint(q.Rate, 10) + "bit"
	}
	return s
}

// milliseconds writes a time as tc(8) reads it.
func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + "ms"
}

func (q Qdisc) needs() []Key          { return []Key{{OfLink, q.NS, q.Link}} }
func (q Qdisc) provides() []Key       { return []Key{q.Key()} }
func (q Qdisc) canBecome(Object) bool { return true }

// Normal rounds to what the kernel stores: whole bytes per second, and the loss as a
// 32-bit fraction.
func (q Qdisc) normal() Object {
	q.Rate = q.Rate / 8 * 8
	q.Loss = math.Round(q.Loss*1e6) / 1e6
	return q
}

// Device kinds of a Host.
const (
	KindDummy   = "dummy"
	KindVLAN    = "vlan"
	KindVXLAN   = "vxlan"
	KindMACVLAN = "macvlan"
	KindIPVLAN  = "ipvlan"
)
