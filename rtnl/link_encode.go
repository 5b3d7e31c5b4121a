package rtnl

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"github.com/vnet-lab/vnet/internal/naming"
	"golang.org/x/sys/unix"
)

// From <linux/rtnetlink.h>.
const (
	rtextFilterVF        = 1 << 0
	rtextFilterSkipStats = 1 << 3
)

// portSuffix turns the kind of a master into the kind of its ports, like ip-link(8):
// bridge_slave. Messages contain the kind of the master.
const portSuffix = "_slave"

// errRename: a message has one IFLA_IFNAME. It is the name of the link to change, or its
// new name.
var errRename = errors.New("renaming a link needs its index")

// maxAlias is IFALIASZ-1 of <linux/if.h>, in bytes.
const maxAlias = 255

// CheckLinkName returns an error if a name is not valid for a link. The kernel would
// truncate a name that is too long, and refuse other invalid names with EINVAL only;
// see dev_valid_name in net/core/dev.c.
func CheckLinkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a link's name cannot be empty")
	case len(name) > naming.MaxLinkName:
		return fmt.Errorf("%q has %d bytes, a link's name has at most %d", name, len(name), naming.MaxLinkName)
	case !naming.IsLink(name):
		return fmt.Errorf("%q is not a name for a link", name)
	}
	return nil
}

// encode returns the body of a request: the message of package rtnetlink, and then the
// attributes that this package silently drops: alias, group, queue length and more.
func (l LinkConfig) encode() ([]byte, error) {
	if l.Name != "" {
		if err := CheckLinkName(l.Name); err != nil {
			return nil, err
		}
	}
	m := rtnetlink.LinkMessage{Index: l.Index, Flags: l.Flags, Change: l.Change, Attributes: &rtnetlink.LinkAttributes{
		Name: l.Name, MTU: l.MTU, Type: l.Parent, Master: l.Master,
		Address: net.HardwareAddr(l.Address), Broadcast: net.HardwareAddr(l.Broadcast),
	}}
	body, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	ae := netlink.NewAttributeEncoder()
	if err := l.encodeRest(ae); err != nil {
		return nil, err
	}
	rest, err := ae.Encode()
	return append(body, rest...), err
}

func (l LinkConfig) encodeRest(ae *netlink.AttributeEncoder) error {
	if l.NS != nil {
		ae.Uint32(unix.IFLA_NET_NS_FD, uint32(l.NS.Fd()))
	}
	if l.NSPid != 0 {
		ae.Uint32(unix.IFLA_NET_NS_PID, l.NSPid)
	}
	if l.NewIndex != 0 {
		ae.Uint32(unix.IFLA_NEW_IFINDEX, l.NewIndex)
	}
	if l.ParentNSID != nil {
		ae.Int32(unix.IFLA_LINK_NETNSID, *l.ParentNSID)
	}
	if l.Alias != nil {
		if len(*l.Alias) > maxAlias {
			return fmt.Errorf("an alias has at most %d bytes", maxAlias)
		}
		ae.Bytes(unix.IFLA_IFALIAS, []byte(*l.Alias))
	}
	encode32(ae, unix.IFLA_GROUP, l.Group)
	encode32(ae, unix.IFLA_TXQLEN, l.TxQueueLen)
	encode8(ae, unix.IFLA_LINKMODE, l.LinkMode)
	encode8(ae, unix.IFLA_CARRIER, l.Carrier)
	encode8(ae, unix.IFLA_PROTO_DOWN, l.ProtoDown)
	encode8(ae, unix.IFLA_OPERSTATE, l.OperState)
	if l.ProtoDownReason != nil {
		ae.Nested(unix.IFLA_PROTO_DOWN_REASON, func(ae *netlink.AttributeEncoder) error {
			ae.Uint32(unix.IFLA_PROTO_DOWN_REASON_MASK, uint32(*l.ProtoDownReason>>32))
			ae.Uint32(unix.IFLA_PROTO_DOWN_REASON_VALUE, uint32(*l.ProtoDownReason))
			return nil
		})
	}
	l.Limits.encode(ae)
	if l.AddrGenMode != nil {
		ae.Nested(unix.IFLA_AF_SPEC, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.AF_INET6, func(ae *netlink.AttributeEncoder) error {
				ae.Uint8(unix.IFLA_INET6_ADDR_GEN_MODE, *l.AddrGenMode)
				return nil
			})
			return nil
		})
	}
	if l.XDPOff != nil {
		ae.Nested(unix.IFLA_XDP, func(ae *netlink.AttributeEncoder) error {
			ae.Int32(unix.IFLA_XDP_FD, -1)
			if *l.XDPOff != 0 {
				ae.Uint32(unix.IFLA_XDP_FLAGS, *l.XDPOff)
			}
			return nil
		})
	}
	if l.Kind.Name != "" || l.PortKind != "" {
		ae.Nested(unix.IFLA_LINKINFO, l.encodeInfo)
	}
	return nil
}

func (l LinkConfig) encodeInfo(ae *netlink.AttributeEncoder) error {
	if l.Kind.Name != "" {
		if err := l.Kind.encode(ae); err != nil {
			return err
		}
	}
	if l.PortKind == "" {
		return nil
	}
	ae.String(unix.IFLA_INFO_SLAVE_KIND, strings.TrimSuffix(l.PortKind, portSuffix))
	return l.Port.encode(ae, l.PortKind, unix.IFLA_INFO_SLAVE_DATA)
}

func (m Limits) encode(ae *netlink.AttributeEncoder) {
	for _, limit := range []struct {
		attr  uint16
		value uint32
	}{
		{unix.IFLA_NUM_TX_QUEUES, m.TxQueues}, {unix.IFLA_NUM_RX_QUEUES, m.RxQueues},
		{unix.IFLA_GSO_MAX_SIZE, m.GSOMaxSize}, {unix.IFLA_GSO_MAX_SEGS, m.GSOMaxSegs},
		{unix.IFLA_GRO_MAX_SIZE, m.GROMaxSize},
		{unix.IFLA_GSO_IPV4_MAX_SIZE, m.GSOIPv4MaxSize}, {unix.IFLA_GRO_IPV4_MAX_SIZE, m.GROIPv4MaxSize},
	} {
		if limit.value != 0 {
			ae.Uint32(limit.attr, limit.value)
		}
	}
}

func encode32(ae *netlink.AttributeEncoder, attr uint16, value *uint32) {
	if value != nil {
		ae.Uint32(attr, *value)
	}
}

func encode8(ae *netlink.AttributeEncoder, attr uint16, value *uint8) {
	if value != nil {
		ae.Uint8(attr, *value)
	}
}

// encodeFor returns the body of a request for an existing link. The kernel finds the
// link by index, else by IFLA_IFNAME, else by IFLA_ALT_IFNAME. The last one finds both
// kinds of names.
func (l LinkConfig) encodeFor(id LinkID) ([]byte, error) {
	l.Index = id.Index
	body, err := l.encode()
	if err != nil || id.Index != 0 {
		return body, err
	}
	attr := uint16(unix.IFLA_IFNAME)
	if l.Name != "" {
		return nil, errRename
	} else if len(id.Name) > naming.MaxLinkName || strings.Contains(id.Name, ":") { // as only an alternative name has it
		attr = unix.IFLA_ALT_IFNAME
	} else if err := CheckLinkName(id.Name); err != nil {
		return nil, err
	}
	if len(id.Name) > naming.MaxAltName {
		return nil, fmt.Errorf("a name has at most %d bytes", naming.MaxAltName)
	}
	ae := netlink.NewAttributeEncoder()
	ae.String(attr, id.Name)
	name, err := ae.Encode()
	return append(body, name...), err
}

func encodeAltNames(id LinkID, names []string) ([]byte, error) {
	body, err := LinkConfig{}.encodeFor(id)
	if err != nil {
		return nil, err
	}
	ae := netlink.NewAttributeEncoder()
	ae.Nested(unix.IFLA_PROP_LIST, func(ae *netlink.AttributeEncoder) error {
		for _, name := range names {
			if name == "" || len(name) > naming.MaxAltName {
				return fmt.Errorf("%q: an alternative name has 1 to %d bytes", name, naming.MaxAltName)
			}
			ae.String(unix.IFLA_ALT_IFNAME, name)
		}
		return nil
	})
	list, err := ae.Encode()
	return append(body, list...), err
}

func (f LinkFilter) encode() ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	mask := uint32(rtextFilterVF)
	if f.NoStats {
		mask |= rtextFilterSkipStats
	}
	ae.Uint32(unix.IFLA_EXT_MASK, mask)
	if f.Kind != "" {
		ae.Nested(unix.IFLA_LINKINFO, func(ae *netlink.AttributeEncoder) error {
			ae.String(unix.IFLA_INFO_KIND, f.Kind)
			return nil
		})
	}
	if f.Master != 0 {
		ae.Uint32(unix.IFLA_MASTER, f.Master)
	}
	if f.NSID != nil {
		ae.Int32(unix.IFLA_TARGET_NETNSID, *f.NSID)
	}
	attrs, err := ae.Encode()
	return append(make([]byte, unix.SizeofIfInfomsg), attrs...), err
}
