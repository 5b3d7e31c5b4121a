package rtnl

import (
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// txChecksums is the name of a feature in ethtool(8): the kernel leaves the checksums of
// sent packets to the device. A veth does not compute them either: a later device may.
const txChecksums = "tx-checksum-ip-generic"

// An Offload is a socket that reads and changes the offloads of the links of one
// namespace; see ethtool-netlink.rst of the kernel. The caller must close it.
type Offload struct {
	nl     *netlink.Conn
	family netlink.HeaderType
}

// DialOffload opens an Offload in the namespace ns; nil is the namespace of the calling
// thread. If the kernel has no CONFIG_ETHTOOL_NETLINK, the error is fs.ErrNotExist.
func DialOffload(ns *os.File) (*Offload, error) {
	nl, err := dial.Conn(unix.NETLINK_GENERIC, ns, netlink.Config{})
	if err != nil {
		return nil, fmt.Errorf("open generic netlink socket: %w", err)
	}
	o := &Offload{nl: nl, family: unix.GENL_ID_CTRL}
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.CTRL_ATTR_FAMILY_NAME, unix.ETHTOOL_GENL_NAME)
	answers, err := o.execute("show", "ethtool", unix.CTRL_CMD_GETFAMILY, 0, ae)
	if err == nil {
		err = eachAttr(answers, func(ad *netlink.AttributeDecoder) {
			if ad.Type() == unix.CTRL_ATTR_FAMILY_ID {
				o.family = netlink.HeaderType(ad.Uint16())
			}
		})
	}
	if err != nil {
		nl.Close()
		return nil, err
	}
	return o, nil
}

// Close closes the socket.
func (o *Offload) Close() error { return o.nl.Close() }

// Checksums reports whether checksum offload of a link is on: then the kernel does not
// compute the checksums of the packets that the link sends.
func (o *Offload) Checksums(link string) (on bool, err error) {
	answers, err := o.execute("show", "offload of link "+link, unix.ETHTOOL_MSG_FEATURES_GET, 0, forLink(link, 0))
	if err != nil {
		return false, err
	}
	err = eachAttr(answers, func(ad *netlink.AttributeDecoder) {
		if ad.Type() == unix.ETHTOOL_A_FEATURES_ACTIVE {
			ad.Nested(func(ad *netlink.AttributeDecoder) error { return findInBitset(ad, &on) })
		}
	})
	return on, err
}

// SetChecksums turns checksum offload of a link on or off. If it is off, the kernel computes
// the checksums of the packets that the link sends; raw sockets and virtual machines that
// receive them may need that.
func (o *Offload) SetChecksums(link string, on bool) error {
	// The request has NLM_F_ACK, so it asks for no reply: a second datagram would stay in
	// the receive queue.
	ae := forLink(link, unix.ETHTOOL_FLAG_OMIT_REPLY)
	ae.Nested(unix.ETHTOOL_A_FEATURES_WANTED, func(ae *netlink.AttributeEncoder) error {
		ae.Nested(unix.ETHTOOL_A_BITSET_BITS, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.ETHTOOL_A_BITSET_BITS_BIT, func(ae *netlink.AttributeEncoder) error {
				ae.String(unix.ETHTOOL_A_BITSET_BIT_NAME, txChecksums)
				ae.Flag(unix.ETHTOOL_A_BITSET_BIT_VALUE, on)
				return nil
			})
			return nil
		})
		return nil
	})
	_, err := o.execute("set", "offload of link "+link, unix.ETHTOOL_MSG_FEATURES_SET, netlink.Acknowledge, ae)
	return err
}

func forLink(name string, flags uint32) *netlink.AttributeEncoder {
	ae := netlink.NewAttributeEncoder()
	ae.Nested(unix.ETHTOOL_A_FEATURES_HEADER, func(ae *netlink.AttributeEncoder) error {
		ae.String(unix.ETHTOOL_A_HEADER_DEV_NAME, name)
		ae.Uint32(unix.ETHTOOL_A_HEADER_FLAGS, flags)
		return nil
	})
	return ae
}

// execute sends a generic netlink command and returns the answers.
func (o *Offload) execute(
	op, object string, command byte, flags netlink.HeaderFlags, ae *netlink.AttributeEncoder,
) ([]netlink.Message, error) {
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	m := netlink.Message{
		Header: netlink.Header{Type: o.family, Flags: netlink.Request | flags},
		Data:   append([]byte{command, 1, 0, 0}, attrs...), // struct genlmsghdr
	}
	answers, err := o.nl.Execute(m)
	if err != nil {
		return nil, newError(op, object, m, err)
	}
	return answers, nil
}

// eachAttr calls fn for the attributes after struct genlmsghdr.
func eachAttr(answers []netlink.Message, fn func(*netlink.AttributeDecoder)) error {
	for _, m := range answers {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return err
		}
		for ad.Next() {
			fn(ad)
		}
		if err := ad.Err(); err != nil {
			return err
		}
	}
	return nil
}

// findInBitset sets on if txChecksums is in a bitset of active features.
func findInBitset(ad *netlink.AttributeDecoder, on *bool) error {
	for ad.Next() {
		if ad.Type() == unix.ETHTOOL_A_BITSET_BITS {
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					ad.Nested(func(ad *netlink.AttributeDecoder) error { return findInBit(ad, on) })
				}
				return ad.Err()
			})
		}
	}
	return ad.Err()
}

func findInBit(ad *netlink.AttributeDecoder, on *bool) error {
	for ad.Next() {
		if ad.Type() == unix.ETHTOOL_A_BITSET_BIT_NAME && ad.String() == txChecksums {
			*on = true
		}
	}
	return ad.Err()
}
