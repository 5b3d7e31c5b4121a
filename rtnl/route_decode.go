package rtnl

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// decodeRoute decodes the body of a route message. It ignores unknown attributes and
// numbers of an unknown length.
func decodeRoute(b []byte) (Route, error) {
	if len(b) < unix.SizeofRtMsg {
		return Route{}, errMalformedRoute
	}
	is6 := b[0] == unix.AF_INET6
	if !is6 && b[0] != unix.AF_INET {
		return Route{}, errRouteFamily
	}
	r := Route{
		TOS: b[3], Table: uint32(b[4]), Protocol: b[5], Scope: b[6], Type: b[7],
		Flags: binary.NativeEndian.Uint32(b[8:]),
	}
	ad, err := parseAttributes(b[unix.SizeofRtMsg:])
	if err != nil {
		return Route{}, errMalformedRoute
	}
	dst := anyAddr(is6)
	var src netip.Addr
	for ad.Next() {
		switch value := ad.Bytes(); ad.Type() {
		case unix.RTA_DST:
			dst = routeAddr(is6, value)
		case unix.RTA_SRC:
			src = routeAddr(is6, value)
		default:
			if err := r.decodeAttr(is6, ad.Type(), value); err != nil {
				return Route{}, err
			}
		}
	}
	r.Dst = netip.PrefixFrom(dst, int(b[1]))
	if src.IsValid() || b[2] > 0 {
		r.Src = netip.PrefixFrom(src, int(b[2]))
	}
	if !r.Dst.IsValid() || b[2] > 0 && !r.Src.IsValid() {
		return Route{}, errMalformedRoute
	}
	return r, nil
}

func (r *Route) decodeAttr(is6 bool, typ uint16, value []byte) error {
	switch typ {
	case unix.RTA_PREFSRC:
		r.PrefSrc = routeAddr(is6, value)
	case unix.RTA_GATEWAY:
		r.Gateway = routeAddr(is6, value)
	case unix.RTA_VIA:
		r.Gateway = viaAddr(value)
	case unix.RTA_OIF:
		r.Link = number(value)
	case unix.RTA_IIF:
		r.InLink = number(value)
	case unix.RTA_PRIORITY:
		r.Metric = number(value)
	case unix.RTA_TABLE:
		r.Table = number(value)
	case unix.RTA_MARK:
		r.Mark = number(value)
	case unix.RTA_FLOW:
		r.Realms = number(value)
	case unix.RTA_PREF:
		r.Pref = uint8(number(value))
	case unix.RTA_EXPIRES:
		r.Expires = number(value)
	case rtaNextHop:
		r.NextHop = number(value)
	case unix.RTA_UID:
		uid := number(value)
		r.UID = &uid
	case unix.RTA_CACHEINFO:
		r.decodeCache(value)
	case unix.RTA_ENCAP_TYPE:
		r.Encap.Type = uint16(number(value))
	case unix.RTA_ENCAP:
		r.Encap.Data = string(value)
	case unix.RTA_METRICS:
		return r.Metrics.decode(value)
	case unix.RTA_MULTIPATH:
		return r.decodeHops(is6, value)
	}
	return nil
}

// number decodes an unsigned number of 1, 2 or 4 bytes; zero for other lengths.
func number(b []byte) uint32 {
	switch len(b) {
	case 1:
		return uint32(b[0])
	case 2:
		return uint32(binary.NativeEndian.Uint16(b))
	case 4:
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

func anyAddr(is6 bool) netip.Addr {
	if is6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// routeAddr decodes an address of the route's family. The kernel may omit zeros at the
// end.
func routeAddr(is6 bool, b []byte) netip.Addr {
	var full [16]byte
	copy(full[:], b)
	if is6 {
		return netip.AddrFrom16(full)
	}
	return netip.AddrFrom4([4]byte(full[:]))
}

// viaAddr decodes struct rtvia.
func viaAddr(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(b[2:])
	return a
}

func (r *Route) decodeCache(b []byte) {
	var c [8]uint32
	for i := range c {
		if len(b) >= 4*i+4 {
			c[i] = binary.NativeEndian.Uint32(b[4*i:])
		}
	}
	r.Cache = RouteCache{
		References: c[0], LastUse: c[1], Expires: int32(c[2]), Error: c[3],
		Used: c[4], ID: c[5], TS: c[6], TSAge: c[7],
	}
	if r.Cache.Expires > 0 {
		r.Expires = uint32((r.Cache.Expires + userHZ - 1) / userHZ)
	}
}

// userHZ is USER_HZ, the number of ticks per second in messages; see time(7).
const userHZ = 100

func (m *Metrics) decode(b []byte) error {
	ad, err := parseAttributes(b)
	if err != nil {
		return errMalformedRoute
	}
	for ad.Next() {
		switch typ := ad.Type(); {
		case typ == unix.RTAX_CC_ALGO:
			m.Congestion, _, _ = strings.Cut(string(ad.Bytes()), "\x00")
		case int(typ) < len(m.Values):
			m.Values[typ] = number(ad.Bytes())
		}
	}
	return nil
}

// decodeHops decodes a list of struct rtnexthop, each followed by its attributes.
func (r *Route) decodeHops(is6 bool, b []byte) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofRtNexthop {
			return errMalformedRoute
		}
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtNexthop || length > len(b) {
			return errMalformedRoute
		}
		h := Hop{Flags: b[2], Weight: int(b[3]) + 1, Link: binary.NativeEndian.Uint32(b[4:])}
		if err := h.decode(is6, b[unix.SizeofRtNexthop:length]); err != nil {
			return err
		}
		r.Hops = append(r.Hops, h)
		b = b[min((length+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1), len(b)):]
	}
	return nil
}

func (h *Hop) decode(is6 bool, b []byte) error {
	ad, err := parseAttributes(b)
	if err != nil {
		return errMalformedRoute
	}
	for ad.Next() {
		switch value := ad.Bytes(); ad.Type() {
		case unix.RTA_GATEWAY:
			h.Gateway = routeAddr(is6, value)
		case unix.RTA_VIA:
			h.Gateway = viaAddr(value)
		case unix.RTA_FLOW:
			h.Realms = number(value)
		case unix.RTA_ENCAP_TYPE:
			h.Encap.Type = uint16(number(value))
		case unix.RTA_ENCAP:
			h.Encap.Data = string(value)
		}
	}
	return nil
}
