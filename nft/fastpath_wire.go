//go:build linux

package nft

import (
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of flowtables, of <linux/netfilter/nf_tables.h>.
const (
	ftTable = 1
	ftName  = 2
	ftHook  = 3

	ftHookNumber   = 1
	ftHookPriority = 2
	ftHookDevices  = 3

	ftDeviceName = 1
)

// maxDevices is how many devices one message may have: less than NFT_NETDEVICE_MAX of
// the kernel's include/net/netfilter/nf_tables.h.
const maxDevices = 255

// flowtable makes one, still without devices; so a refusal of this message says that the
// kernel knows no flowtables, and one of the next that a device is not there.
func (e *encoder) flowtable(s set) {
	m := e.flowtableMessage(unix.NFT_MSG_NEWFLOWTABLE, netlink.Create, s)
	m.op, m.missing = "add", "CONFIG_NF_FLOW_TABLE_INET"
	m.Data = append(m.Data, nested(ftHook, ingress())...)
	e.out = append(e.out, m)
}

// ingress is where the devices hand packets over, before all other hooks there of
// priority filter.
func ingress() []byte {
	return append(attr32(ftHookNumber, unix.NF_NETDEV_INGRESS), attr32(ftHookPriority, prioFilter)...)
}

func (e *encoder) flowtableMessage(kind int, flags netlink.HeaderFlags, s set) message {
	return message{
		object:  "flowtable inet " + e.table + " " + s.name,
		Message: request(kind, flags, attrString(ftTable, e.table), attrString(ftName, s.name)),
	}
}

// devices adds devices to a flowtable. Those that it has stay.
func (e *encoder) devices(s set, all []element) {
	for len(all) > 0 {
		n := min(len(all), maxDevices)
		m := e.flowtableMessage(unix.NFT_MSG_NEWFLOWTABLE, netlink.Create, s)
		m.op, m.object = "add", "devices of "+m.object
		hook := ingress()
		at := unix.NLMSG_HDRLEN + len(m.Data) + unix.SizeofNlAttr + len(hook) + unix.SizeofNlAttr
		var names []byte
		for _, el := range all[:n] {
			m.parts = append(m.parts, part{offset: at + len(names), object: "device " + decodeName(el.key) + " of flowtable inet " + e.table + " " + s.name})
			names = append(names, attrString(ftDeviceName, decodeName(el.key))...)
		}
		if n == 1 { // older kernels do not say which
			m.object = m.parts[0].object
		}
		m.Data = append(m.Data, nested(ftHook, append(hook, nested(ftHookDevices, names)...))...)
		e.out = append(e.out, m)
		all = all[n:]
	}
}

// readFlowtable reads the devices of the flowtable s, if the table has it.
func (c *Conn) readFlowtable(table string, s set, have content) (whole bool, err error) {
	if err := c.widen(); err != nil {
		return false, err
	}
	bodies, whole, err := c.dump("flowtable inet "+table+" "+s.name,
		request(unix.NFT_MSG_GETFLOWTABLE, netlink.Dump, attrString(ftTable, table)))
	if errors.Is(err, unix.ENOENT) {
		return false, nil // gone since
	}
	if err != nil || !whole {
		return whole, err
	}
	for _, b := range bodies {
		in, name, devices, err := decodeFlowtable(b)
		if err != nil {
			return false, err
		}
		if in != table || name != s.name {
			continue
		}
		have.sets[s.name] = true
		for _, d := range devices {
			have.elements[element{set: s.name, key: encodeName(d)}] = count{}
		}
	}
	return true, nil
}

// widen lets the kernel answer in messages of 32 KiB: it goes by the largest buffer that
// the socket was ever read with. So something that has an answer is asked, and looked at
// with one. A socket that is none of the kernel's has no such limit.
func (c *Conn) widen() error {
	raw, err := c.nl.SyscallConn()
	if err != nil {
		return nil
	}
	question := request(unix.NFT_MSG_GETGEN, 0)
	question.Data[0] = unix.NFPROTO_UNSPEC
	sent, err := c.nl.SendMessages([]netlink.Message{question})
	if err != nil {
		return c.refusal("show", "ruleset", err)
	}
	buf := make([]byte, 32<<10)
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err != unix.EAGAIN
	})
	if err == nil {
		err = c.answers(sent, make([]answer, 1))
	}
	if err != nil {
		return c.refusal("show", "ruleset", err)
	}
	return nil
}

// decodeFlowtable reads a flowtable's names, and the devices that it has.
func decodeFlowtable(body []byte) (table, name string, devices []string, err error) {
	ad, err := attrs(body)
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

// decodeDevices reads a list of names, of which longer ones are none.
func decodeDevices(to *[]string) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if name := ad.String(); len(name) <= maxName {
				*to = append(*to, name)
			}
		}
		return nil
	}
}
