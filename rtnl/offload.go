package rtnl

import (
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// txChecksums is the feature, by ethtool(8)'s name, of links such as veth that leave
// the checksums of what they send for somebody behind them to fill in.
const txChecksums = "tx-checksum-ip-generic"

// An Offload speaks with the kernel about what links leave to their hardware; see
// ethtool-netlink.rst of the kernel. It is of one namespace; close it.
type Offload struct {
	nl     *netlink.Conn
	family netlink.HeaderType
}

// DialOffload opens one in the namespace ns; nil is the calling thread's. A kernel
// without ethtool's netlink (CONFIG_ETHTOOL_NETLINK) answers with fs.ErrNotExist.
func DialOffload(ns *os.File) (*Offload, error) {
	nl, err := dial.Conn(unix.NETLINK_GENERIC, ns, netlink.Config{})
	if err != nil {
		return nil, fmt.Errorf("open generic netlink socket: %w", err)
	}
	o := &Offload{nl: nl, family: unix.GENL_ID_CTRL}
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.CTRL_ATTR_FAMILY_NAME, unix.ETHTOOL_GENL_NAME)
	answers, err := o.ask("show", "ethtool", unix.CTRL_CMD_GETFAMILY, 0, ae)
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

// Close gives the socket up.
func (o *Offload) Close() error { return o.nl.Close() }

// Checksums tells whether a link leaves the checksums of what it sends to others.
func (o *Offload) Checksums(link string) (on bool, err error) {
	answers, err := o.ask("show", "offload of link "+link, unix.ETHTOOL_MSG_FEATURES_GET, 0, forLink(link, 0))
	if err != nil {
		return false, err
	}
	err = eachAttr(answers, func(ad *netlink.AttributeDecoder) {
		if ad.Type() == unix.ETHTOOL_A_FEATURES_ACTIVE {
			ad.Nested(func(ad *netlink.AttributeDecoder) error { return bits(ad, &on) })
		}
	})
	return on, err
}

// SetChecksums lets a link leave checksums to others, or makes it fill them in itself,
// as raw sockets and virtual machines behind it need.
func (o *Offload) SetChecksums(link string, on bool) error {
	// Either an answer or an acknowledgement: a second datagram would stay in the queue.
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
	_, err := o.ask("set", "offload of link "+link, unix.ETHTOOL_MSG_FEATURES_SET, netlink.Acknowledge, ae)
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

// ask sends a generic netlink command, and returns its answers.
func (o *Offload) ask(op, object string, command byte, flags netlink.HeaderFlags, ae *netlink.AttributeEncoder) ([]netlink.Message, error) {
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

// eachAttr calls fn for the attributes behind struct genlmsghdr.
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

// bits looks for the feature among those that are on, by their names.
func bits(ad *netlink.AttributeDecoder, on *bool) error {
	for ad.Next() {
		if ad.Type() == unix.ETHTOOL_A_BITSET_BITS {
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					ad.Nested(func(ad *netlink.AttributeDecoder) error { return bit(ad, on) })
				}
				return ad.Err()
			})
		}
	}
	return ad.Err()
}

func bit(ad *netlink.AttributeDecoder, on *bool) error {
	for ad.Next() {
		if ad.Type() == unix.ETHTOOL_A_BITSET_BIT_NAME && ad.String() == txChecksums {
			*on = true
		}
	}
	return ad.Err()
}
