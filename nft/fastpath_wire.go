//go:build linux

package nft

import (
	"errors"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
	"golang.org/x/sys/unix"
)

// Attributes of flowtables; see <linux/netfilter/nf_tables.h>.
const (
	ftTable = 1
	ftName  = 2
	ftHook  = 3

	ftHookNumber   = 1
	ftHookPriority = 2
	ftHookDevices  = 3

	ftDeviceName = 1
)

// maxDevices is the maximum number of devices in one message: less than NFT_NETDEVICE_MAX of the kernel's
// include/net/netfilter/nf_tables.h.
const maxDevices = 255

// flowtable adds a message that creates a flowtable without devices. So a refusal of this message means that the kernel
// does not support flowtables, and a refusal of the next one that a device does not exist.
func (e *encoder) flowtable(s set) {
	m := e.flowtableMessage(unix.NFT_MSG_NEWFLOWTABLE, netlink.Create, s)
	m.op, m.missing = "add", "CONFIG_NF_FLOW_TABLE_INET"
	m.Data = append(m.Data, nested(ftHook, ingress())...)
	e.out = append(e.out, m)
}

// ingress returns the hook at which the devices pass packets to the flowtable: ingress, priority filter.
func ingress() []byte {
	return append(attr32(ftHookNumber, unix.NF_NETDEV_INGRESS), attr32(ftHookPriority, prioFilter)...)
}

func (e *encoder) flowtableMessage(kind int, flags netlink.HeaderFlags, s set) message {
	return message{
		object:  "flowtable " + e.table.String() + " " + s.name,
		Message: e.table.request(kind, flags, attrString(ftTable, e.table.name), attrString(ftName, s.name)),
	}
}

// devices adds messages that add devices to a flowtable. Its other devices stay.
func (e *encoder) devices(s set, all []element) {
	for len(all) > 0 {
		n := min(len(all), maxDevices)
		m := e.flowtableMessage(unix.NFT_MSG_NEWFLOWTABLE, netlink.Create, s)
		m.op, m.object = "add", "devices of "+m.object
		hook := ingress()
		at := unix.NLMSG_HDRLEN + len(m.Data) + unix.SizeofNlAttr + len(hook) + unix.SizeofNlAttr
		var names []byte
		for _, el := range all[:n] {
			m.parts = append(m.parts, part{offset: at + len(names),
				object: "device " + decodeName(el.key) + " of flowtable " + e.table.String() + " " + s.name})
			names = append(names, attrString(ftDeviceName, decodeName(el.key))...)
		}
		if n == 1 { // older kernels do not report the offset
			m.object = m.parts[0].object
		}
		m.Data = append(m.Data, nested(ftHook, append(hook, nested(ftHookDevices, names)...))...)
		e.out = append(e.out, m)
		all = all[n:]
	}
}

// readFlowtable reads the devices of the flowtable s, if the table has it.
func (c *Conn) readFlowtable(table table, s set, have *content) (complete bool, err error) {
	if err := c.allowLargeDumps(); err != nil {
		return false, err
	}
	bodies, complete, err := c.dump("flowtable "+table.String()+" "+s.name,
		table.request(unix.NFT_MSG_GETFLOWTABLE, netlink.Dump, attrString(ftTable, table.name)))
	if errors.Is(err, unix.ENOENT) {
		return false, nil // deleted in the meantime
	}
	if err != nil || !complete {
		return complete, err
	}
	for _, b := range bodies {
		in, name, devices, err := decodeFlowtable(b)
		if err != nil {
			return false, err
		}
		if in != table.name || name != s.name {
			continue
		}
		have.sets[s.name] = true
		for _, d := range devices {
			have.elements[element{set: s.name, key: encodeName(d)}] = count{}
		}
	}
	return true, nil
}

// allowLargeDumps makes the kernel dump in messages of up to 32 KiB: their size is limited by the largest buffer ever
// used to read from the socket. So it sends a request and peeks at the reply with a buffer of 32 KiB. It does nothing
// for a socket without a file descriptor, as in tests.
func (c *Conn) allowLargeDumps() error {
	raw, err := c.nl.SyscallConn()
	if err != nil {
		return nil
	}
	req := request(unix.NFT_MSG_GETGEN, 0)
	req.Data[0] = unix.NFPROTO_UNSPEC
	c.nl.SetReadDeadline(time.Now().Add(c.waitLimit))
	sent, err := c.send([]netlink.Message{req})
	if err != nil {
		return c.refusal("show", "ruleset", err)
	}
	buf := make([]byte, 32<<10)
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err != unix.EAGAIN
	})
	if err == nil {
		err = c.readReplies(sent, make([]reply, 1))
	}
	if err != nil {
		return c.refusal("show", "ruleset", err)
	}
	return nil
}

// decodeFlowtable decodes the names of a flowtable and its table, and the flowtable's devices.
func decodeFlowtable(body []byte) (table, name string, devices []string, err error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return "", "", nil, err
	}
	for ad.Next() {
		switch ad.Type() {
		case ftTable:
			table = ad.String()
		case ftName:
			name = ad.String()
		case ftHook:
			ad.Nested(func(hook *netlink.AttributeDecoder) error {
				for hook.Next() {
					if hook.Type() == ftHookDevices {
						hook.Nested(decodeDevices(&devices))
					}
				}
				return nil
			})
		}
	}
	return table, name, devices, ad.Err()
}

// decodeDevices decodes a list of device names. It skips too long ones.
func decodeDevices(to *[]string) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if name := ad.String(); len(name) <= naming.MaxLinkName {
				*to = append(*to, name)
			}
		}
		return nil
	}
}
