package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of <linux/rtnetlink.h> that x/sys does not have.
const (
	rtaNextHop   = 30 // RTA_NH_ID
	rtaFlowLabel = 31 // RTA_FLOWLABEL
)

var (
	errNoDestination  = errors.New("no destination")
	errMalformedRoute = errors.New("malformed route message")
	errRouteFamily    = errors.New("neither an IPv4 nor an IPv6 route")
)

// encodeRoute returns the body of a request: the message of package rtnetlink, and after
// it the attributes that this message does not support: more metrics, hops with flags and
// realms, and a gateway of the other family. It also adds all addresses, because the
// message turns ::ffff:1.2.3.4 into 1.2.3.4.
func encodeRoute(r Route) ([]byte, error) {
	if err := checkRoute(r); err != nil {
		return nil, err
	}
	table, flags := r.Table, r.Flags&(unix.RTNH_F_ONLINK|unix.RTNH_F_PERVASIVE)
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	m := rtnetlink.RouteMessage{
		Family: familyOf(r.Dst.Addr()), DstLength: uint8(r.Dst.Bits()), SrcLength: uint8(max(r.Src.Bits(), 0)),
		Tos: r.TOS, Table: uint8(table), Protocol: r.Protocol, Scope: r.Scope, Type: r.Type, Flags: flags,
		Attributes: rtnetlink.RouteAttributes{OutIface: r.Link, Priority: r.Metric},
	}
	if table > 255 {
		m.Table, m.Attributes.Table = unix.RT_TABLE_UNSPEC, table
	}
	if r.Pref != 0 {
		m.Attributes.Pref = &r.Pref
	}
	if r.Expires != 0 {
		m.Attributes.Expires = &r.Expires
	}
	body, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	ae := netlink.NewAttributeEncoder()
	if r.Dst.Bits() > 0 {
		ae.Bytes(unix.RTA_DST, r.Dst.Addr().AsSlice())
	}
	if r.Src.IsValid() {
		ae.Bytes(unix.RTA_SRC, r.Src.Addr().AsSlice())
	}
	if r.PrefSrc.IsValid() {
		ae.Bytes(unix.RTA_PREFSRC, r.PrefSrc.AsSlice())
	}
	encodeGateway(ae, r.Is6(), r.Gateway)
	encodePath(ae, r.Realms, r.Encap)
	if r.NextHop != 0 {
		ae.Uint32(rtaNextHop, r.NextHop)
	}
	if r.Metrics != (Metrics{}) {
		ae.Nested(unix.RTA_METRICS, r.Metrics.encode)
	}
	if len(r.Hops) > 0 {
		ae.Do(unix.RTA_MULTIPATH, func() ([]byte, error) { return encodeHops(r.Is6(), r.Hops) })
	}
	rest, err := ae.Encode()
	return append(body, rest...), err
}

// checkRoute refuses what the kernel would misinterpret: it uses the address family of
// the message for all addresses, and silently truncates or pads them.
func checkRoute(r Route) error {
	switch {
	case !r.Dst.IsValid():
		return errNoDestination
	case r.Src.IsValid() && r.Src.Addr().Is4() != r.Dst.Addr().Is4():
		return fmt.Errorf("source %v is not of the address family of the destination", r.Src)
	case r.PrefSrc.IsValid() && r.PrefSrc.Is4() != r.Dst.Addr().Is4():
		return fmt.Errorf("preferred source %v is not of the address family of the destination", r.PrefSrc)
	}
	for _, h := range r.Hops {
		if h.Weight < 0 || h.Weight > 256 {
			return fmt.Errorf("weight %d is not between 1 and 256", h.Weight)
		}
	}
	return nil
}

func familyOf(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// encodeGateway appends a gateway. If its address family is not the route's, it is encoded
// as a struct rtvia.
func encodeGateway(ae *netlink.AttributeEncoder, is6 bool, gateway netip.Addr) {
	switch {
	case !gateway.IsValid():
	case gateway.Is6() == is6:
		ae.Bytes(unix.RTA_GATEWAY, gateway.AsSlice())
	default:
		family := binary.NativeEndian.AppendUint16(nil, uint16(familyOf(gateway)))
		ae.Bytes(unix.RTA_VIA, append(family, gateway.AsSlice()...))
	}
}

// encodePath appends the attributes that both a route and a hop have.
func encodePath(ae *netlink.AttributeEncoder, realms uint32, encap Encap) {
	if realms != 0 {
		ae.Uint32(unix.RTA_FLOW, realms)
	}
	if encap.Type != 0 {
		ae.Uint16(unix.RTA_ENCAP_TYPE, encap.Type)
		ae.Bytes(unix.NLA_F_NESTED|unix.RTA_ENCAP, []byte(encap.Data))
	}
}

func (m Metrics) encode(ae *netlink.AttributeEncoder) error {
	for i, value := range m.Values {
		if value != 0 && i != unix.RTAX_CC_ALGO {
			ae.Uint32(uint16(i), value)
		}
	}
	if m.Congestion != "" {
		ae.Bytes(unix.RTAX_CC_ALGO, []byte(m.Congestion))
	}
	return nil
}

func encodeHops(is6 bool, hops []Hop) ([]byte, error) {
	var b []byte
	for _, h := range hops {
		ae := netlink.NewAttributeEncoder()
		encodeGateway(ae, is6, h.Gateway)
		encodePath(ae, h.Realms, h.Encap)
		attrs, err := ae.Encode()
		if err != nil {
			return nil, err
		}
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtNexthop+len(attrs)))
		b = append(b, h.Flags, uint8(max(h.Weight, 1)-1))
		b = binary.NativeEndian.AppendUint32(b, h.Link)
		b = append(b, attrs...)
	}
	return b, nil
}

// encode returns the body of the request for the routes of one family.
func (f RouteFilter) encode(family uint8) []byte {
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[5], b[7] = family, f.Protocol, f.Type
	if f.Cached {
		binary.NativeEndian.PutUint32(b[8:], unix.RTM_F_CLONED)
	}
	ae := netlink.NewAttributeEncoder()
	if !f.AllTables {
		ae.Uint32(unix.RTA_TABLE, f.Table)
	}
	if f.Link != 0 {
		ae.Uint32(unix.RTA_OIF, f.Link)
	}
	attrs, _ := ae.Encode() // cannot fail with numbers only
	return append(b, attrs...)
}

// encode returns the body of the request for one route.
func (q RouteQuery) encode() ([]byte, error) {
	if !q.Dst.IsValid() {
		return nil, errNoDestination
	}
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[1], b[3] = familyOf(q.Dst), uint8(q.Dst.BitLen()), q.TOS
	var flags uint32
	if q.Dst.Is4() {
		flags |= unix.RTM_F_LOOKUP_TABLE // IPv6 always returns the table, and refuses this flag
	}
	if q.FIBMatch {
		flags |= unix.RTM_F_FIB_MATCH
	}
	if q.Notify {
		flags |= unix.RTM_F_NOTIFY
	}
	binary.NativeEndian.PutUint32(b[8:], flags)
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, q.Dst.AsSlice())
	if q.Src.IsValid() {
		if q.Src.Is4() != q.Dst.Is4() {
			return nil, fmt.Errorf("source %v is not of the address family of the destination", q.Src)
		}
		b[2] = uint8(q.Src.BitLen())
		ae.Bytes(unix.RTA_SRC, q.Src.AsSlice())
	}
	q.encodeFlow(ae)
	attrs, err := ae.Encode()
	return append(b, attrs...), err
}

// encodeFlow appends the other properties of the packet.
func (q RouteQuery) encodeFlow(ae *netlink.AttributeEncoder) {
	if q.UID != nil {
		ae.Uint32(unix.RTA_UID, *q.UID)
	}
	if q.Protocol != 0 {
		ae.Uint8(unix.RTA_IP_PROTO, q.Protocol)
	}
	if q.SrcPort != 0 {
		ae.Bytes(unix.RTA_SPORT, binary.BigEndian.AppendUint16(nil, q.SrcPort))
	}
	if q.DstPort != 0 {
		ae.Bytes(unix.RTA_DPORT, binary.BigEndian.AppendUint16(nil, q.DstPort))
	}
	if q.FlowLabel != 0 {
		ae.Bytes(rtaFlowLabel, binary.BigEndian.AppendUint32(nil, q.FlowLabel))
	}
	if q.InLink != 0 {
		ae.Uint32(unix.RTA_IIF, q.InLink)
	}
	if q.Link != 0 {
		ae.Uint32(unix.RTA_OIF, q.Link)
	}
	if q.Mark != 0 {
		ae.Uint32(unix.RTA_MARK, q.Mark)
	}
}
