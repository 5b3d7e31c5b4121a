package rtnl

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

var errMalformedLink = errors.New("malformed link message")

// decodeLink decodes the body of a link message. It ignores unknown attributes and
// values of an unknown length: a newer kernel may send more.
func decodeLink(b []byte) (Link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, errMalformedLink
	}
	l := Link{
		Type:  binary.NativeEndian.Uint16(b[2:]),
		Index: binary.NativeEndian.Uint32(b[4:]),
		Flags: binary.NativeEndian.Uint32(b[8:]),
	}
	ad, err := parseAttributes(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return Link{}, errMalformedLink
	}
	for ad.Next() {
		if typ := ad.Type(); typ < 128 {
			l.Seen[typ/64] |= 1 << (typ % 64)
			l.decodeAttr(typ, ad.Bytes())
		}
	}
	return l, nil
}

func (l *Link) decodeAttr(typ uint16, value []byte) {
	if p := l.uint32Field(typ); p != nil {
		*p = number(value)
		return
	}
	if p := l.stringField(typ); p != nil {
		*p = text(value)
		return
	}
	switch typ {
	case unix.IFLA_ADDRESS:
		l.Address = LLAddr(value)
	case unix.IFLA_BROADCAST:
		l.Broadcast = LLAddr(value)
	case unix.IFLA_PERM_ADDRESS:
		l.Permanent = LLAddr(value)
	case unix.IFLA_OPERSTATE:
		l.OperState = uint8(number(value))
	case unix.IFLA_LINKMODE:
		l.LinkMode = uint8(number(value))
	case unix.IFLA_CARRIER:
		l.Carrier = uint8(number(value))
	case iflaNetnsImmutable:
		l.NetnsImmutable = number(value) != 0
	case unix.IFLA_PROTO_DOWN:
		l.ProtoDown = number(value) != 0
	case unix.IFLA_LINK_NETNSID:
		id := int32(number(value))
		l.ParentNSID = &id
	case unix.IFLA_PROTO_DOWN_REASON:
		nested(value, func(typ uint16, value []byte) {
			if typ == 2 { // IFLA_PROTO_DOWN_REASON_VALUE
				l.ProtoDownReason = number(value)
			}
		})
	case unix.IFLA_PROP_LIST:
		nested(value, func(typ uint16, value []byte) {
			if typ == unix.IFLA_ALT_IFNAME {
				l.AltNames = append(l.AltNames, text(value))
			}
		})
	case unix.IFLA_XDP:
		nested(value, func(typ uint16, value []byte) {
			if typ == unix.IFLA_XDP_ATTACHED {
				l.XDP = number(value) != 0
			}
		})
	case unix.IFLA_LINKINFO:
		l.decodeInfo(value)
	case unix.IFLA_AF_SPEC:
		nested(value, l.decodeFamily)
	case unix.IFLA_STATS64:
		l.Stats.decode(value)
	}
}

// uint32Field returns the field for an attribute that is a number; nil if there is
// none.
func (l *Link) uint32Field(typ uint16) *uint32 {
	switch typ {
	case unix.IFLA_MTU:
		return &l.MTU
	case unix.IFLA_MIN_MTU:
		return &l.MinMTU
	case unix.IFLA_MAX_MTU:
		return &l.MaxMTU
	case unix.IFLA_MASTER:
		return &l.Master
	case unix.IFLA_LINK:
		return &l.Parent
	case unix.IFLA_GROUP:
		return &l.Group
	case unix.IFLA_TXQLEN:
		return &l.TxQueueLen
	case unix.IFLA_PROMISCUITY:
		return &l.Promiscuity
	case unix.IFLA_ALLMULTI:
		return &l.AllMulti
	case unix.IFLA_CARRIER_CHANGES:
		return &l.CarrierChanges
	case unix.IFLA_EVENT:
		return &l.Event
	}
	return l.Limits.uint32Field(typ)
}

func (m *Limits) uint32Field(typ uint16) *uint32 {
	switch typ {
	case unix.IFLA_NUM_TX_QUEUES:
		return &m.TxQueues
	case unix.IFLA_NUM_RX_QUEUES:
		return &m.RxQueues
	case unix.IFLA_GSO_MAX_SIZE:
		return &m.GSOMaxSize
	case unix.IFLA_GSO_MAX_SEGS:
		return &m.GSOMaxSegs
	case unix.IFLA_TSO_MAX_SIZE:
		return &m.TSOMaxSize
	case unix.IFLA_TSO_MAX_SEGS:
		return &m.TSOMaxSegs
	case unix.IFLA_GRO_MAX_SIZE:
		return &m.GROMaxSize
	case unix.IFLA_GSO_IPV4_MAX_SIZE:
		return &m.GSOIPv4MaxSize
	case unix.IFLA_GRO_IPV4_MAX_SIZE:
		return &m.GROIPv4MaxSize
	}
	return nil
}

// stringField returns the field for an attribute that is a string; nil if there is
// none.
func (l *Link) stringField(typ uint16) *string {
	switch typ {
	case unix.IFLA_IFNAME:
		return &l.Name
	case unix.IFLA_IFALIAS:
		return &l.Alias
	case unix.IFLA_QDISC:
		return &l.Qdisc
	case unix.IFLA_PARENT_DEV_NAME:
		return &l.ParentDev
	case unix.IFLA_PARENT_DEV_BUS_NAME:
		return &l.ParentBus
	}
	return nil
}

func (l *Link) decodeInfo(b []byte) {
	var data, port []byte
	nested(b, func(typ uint16, value []byte) {
		switch typ {
		case unix.IFLA_INFO_KIND:
			l.Kind.Name = text(value)
		case unix.IFLA_INFO_DATA:
			data = value
		case unix.IFLA_INFO_SLAVE_KIND:
			l.PortKind = text(value) + portSuffix
		case unix.IFLA_INFO_SLAVE_DATA:
			port = value
		}
	})
	if data != nil {
		l.Kind.Options = decodeOptions(l.Kind.Name, data)
	}
	if port != nil {
		l.Port = decodeOptions(l.PortKind, port)
	}
}

func (l *Link) decodeFamily(family uint16, b []byte) {
	if family != unix.AF_INET6 {
		return
	}
	nested(b, func(typ uint16, value []byte) {
		if typ == unix.IFLA_INET6_ADDR_GEN_MODE && len(value) == 1 {
			mode := value[0]
			l.AddrGenMode = &mode
		}
	})
}

// decode reads the counters in the order of struct rtnl_link_stats64 of
// <linux/if_link.h>. Older kernels have fewer of them.
func (s *Stats) decode(b []byte) {
	for _, p := range []*uint64{
		&s.RxPackets, &s.TxPackets, &s.RxBytes, &s.TxBytes, &s.RxErrors, &s.TxErrors, &s.RxDropped, &s.TxDropped,
		&s.Multicast, &s.Collisions, &s.RxLengthErrors, &s.RxOverErrors, &s.RxCRCErrors, &s.RxFrameErrors,
		&s.RxFIFOErrors, &s.RxMissedErrors, &s.TxAbortedErrors, &s.TxCarrierErrors, &s.TxFIFOErrors,
		&s.TxHeartbeatErrors, &s.TxWindowErrors, &s.RxCompressed, &s.TxCompressed, &s.RxNohandler, &s.RxOtherHost,
	} {
		if len(b) < 8 {
			return
		}
		*p, b = binary.NativeEndian.Uint64(b), b[8:]
	}
}

// nested calls fn for each attribute in b. If b is malformed, it does nothing.
func nested(b []byte, fn func(typ uint16, value []byte)) {
	ad, err := parseAttributes(b)
	if err != nil {
		return
	}
	for ad.Next() {
		fn(ad.Type(), ad.Bytes())
	}
}

// text returns the string before the first zero byte, or all of b if there is none.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
