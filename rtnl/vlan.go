package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var errMalformedVLAN = errors.New("malformed bridge port message")

// PortVLAN makes a port of a bridge, or the bridge itself, a member of a VLAN, as
// bridge(8) does with "vlan add"; struct bridge_vlan_info of <linux/if_bridge.h>.
type PortVLAN struct {
	// Link is the index of the port, or of the bridge.
	Link uint32
	// Self means that Link is a bridge, not a port. PortVLANs does not set it.
	Self bool
	// ID is 1–4094.
	ID uint16
	// Untagged means that packets of the VLAN leave the port without a tag. PVID means
	// that packets without a tag belong to this VLAN; a port has one PVID, so this
	// replaces the former one.
	Untagged, PVID bool
}

// From <linux/if_bridge.h> and <linux/rtnetlink.h>.
const (
	bridgeFlags    = 0 // IFLA_BRIDGE_FLAGS
	bridgeVLANInfo = 2 // IFLA_BRIDGE_VLAN_INFO

	bridgeFlagsSelf  = 1 << 1 // BRIDGE_FLAGS_SELF
	vlanInfoPVID     = 1 << 1 // BRIDGE_VLAN_INFO_PVID
	vlanInfoUntagged = 1 << 2 // BRIDGE_VLAN_INFO_UNTAGGED

	rtextFilterBRVLAN = 1 << 1 // RTEXT_FILTER_BRVLAN
	sizeofVLANInfo    = 4
)

// AddPortVLAN makes a link a member of a VLAN, or changes its membership.
func AddPortVLAN(v PortVLAN) Request { return vlanRequest("add", v, unix.RTM_SETLINK) }

// DeletePortVLAN removes a link from a VLAN.
func DeletePortVLAN(v PortVLAN) Request { return vlanRequest("delete", v, unix.RTM_DELLINK) }

func vlanRequest(op string, v PortVLAN, typ netlink.HeaderType) Request {
	body, err := encodeVLAN(v)
	return Request{
		op: op, object: fmt.Sprintf("vlan %d dev %s", v.ID, LinkID{Index: v.Link}), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ}, Data: body},
	}
}

func encodeVLAN(v PortVLAN) ([]byte, error) {
	var flags uint16
	if v.PVID {
		flags |= vlanInfoPVID
	}
	if v.Untagged {
		flags |= vlanInfoUntagged
	}
	info := make([]byte, sizeofVLANInfo)
	binary.NativeEndian.PutUint16(info, flags)
	binary.NativeEndian.PutUint16(info[2:], v.ID)
	ae := netlink.NewAttributeEncoder()
	ae.Nested(unix.IFLA_AF_SPEC, func(nae *netlink.AttributeEncoder) error {
		if v.Self {
			nae.Uint16(bridgeFlags, bridgeFlagsSelf)
		}
		nae.Bytes(bridgeVLANInfo, info)
		return nil
	})
	attrs, err := ae.Encode()
	return append(bridgeHeader(v.Link), attrs...), err
}

func bridgeHeader(link uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	b[0] = unix.AF_BRIDGE
	binary.NativeEndian.PutUint32(b[4:], link)
	return b
}

// PortVLANs returns the memberships of all ports and bridges. Self is not set.
func (c *Conn) PortVLANs() ([]PortVLAN, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.IFLA_EXT_MASK, rtextFilterBRVLAN)
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	var vlans []PortVLAN
	body := append(bridgeHeader(0), attrs...)
	err = c.list("VLANs of bridge ports", unix.RTM_GETLINK, body, func() { vlans = nil }, func(b []byte) error {
		some, err := decodeVLANs(b)
		vlans = append(vlans, some...)
		return err
	})
	return vlans, err
}

func decodeVLANs(b []byte) (vlans []PortVLAN, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return nil, errMalformedVLAN
	}
	link := binary.NativeEndian.Uint32(b[4:])
	ad, err := parseAttributes(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return nil, errMalformedVLAN
	}
	for ad.Next() {
		if ad.Type() != unix.IFLA_AF_SPEC {
			continue
		}
		spec, err := parseAttributes(ad.Bytes())
		if err != nil {
			return nil, errMalformedVLAN
		}
		for spec.Next() {
			info := spec.Bytes()
			if spec.Type() != bridgeVLANInfo || len(info) < sizeofVLANInfo {
				continue
			}
			flags := binary.NativeEndian.Uint16(info)
			vlans = append(vlans, PortVLAN{
				Link: link, ID: binary.NativeEndian.Uint16(info[2:]),
				PVID: flags&vlanInfoPVID != 0, Untagged: flags&vlanInfoUntagged != 0,
			})
		}
	}
	return vlans, nil
}
