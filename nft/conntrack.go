//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// Messages and attributes of <linux/netfilter/nfnetlink_conntrack.h>.
const (
	ctGet      = 1
	ctDelete   = 2
	ctGetStats = 5

	ctaStatsEntries = 1

	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaStatus     = 3
	ctaID         = 12
	ctaZone       = 18
	ctaFilter     = 25 // since Linux 5.8; older kernels list all

	ctaFilterOrigFlags = 1
	// CTA_FILTER_F_* of the kernel's net/netfilter/nf_internals.h.
	ctFilterProto   = 1 << 3
	ctFilterDstPort = 1 << 5

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum     = 1
	ctaProtoSrcPort = 2
	ctaProtoDstPort = 3
)

// deleteStaleFlows deletes the conntrack entries that a change makes stale. It does nothing on a kernel without
// CONFIG_NF_CT_NETLINK: there, idle flows end by timeout.
func (c *Conn) deleteStaleFlows(old, new []Rule) error {
	matcher := newStaleMatcher(old, new)
	if matcher.empty() {
		return nil
	}
	flows, err := c.flows(matcher.dumpRequest())
	if err != nil || len(flows) == 0 {
		return err
	}
	if matcher.needsLocalAddrs() {
		if matcher.local, matcher.subnets, err = c.localAddresses(); err != nil {
			return err
		}
	}
	return c.deleteFlows(flows, matcher.matches)
}

// deleteFlows deletes those of the flows that match.
func (c *Conn) deleteFlows(flows []flow, matches func(flow) bool) error {
	var deletions []netlink.Message
	for _, f := range flows {
		if matches(f) {
			m := conntrackRequest(ctDelete, netlink.Acknowledge, f.family)
			m.Data = append(m.Data, f.identity...)
			deletions = append(deletions, m)
		}
	}
	replies, err := c.query("connection tracking", deletions)
	if err != nil {
		return err
	}
	for _, a := range replies {
		if a.err != nil && !errors.Is(a.err, unix.ENOENT) { // it may have ended in the meantime
			return &Error{Op: "delete", Object: "tracked connection", Err: nfnetlink.Errno(a.err)}
		}
	}
	return nil
}

// ForgetFlows deletes the conntrack entries of connections from and to addresses in prefixes: those that such an
// address opened, and those whose replies it sends, also behind a [Forward]. So who gets the address next inherits no
// connection. It does nothing on a kernel without CONFIG_NF_CT_NETLINK. The kernel goes through the connections of the
// whole machine, which takes milliseconds.
func (c *Conn) ForgetFlows(of ...netip.Prefix) error {
	if len(of) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	flows, err := c.flows(conntrackRequest(ctGet, netlink.Dump, unix.AF_UNSPEC))
	if err != nil {
		return err
	}
	return c.deleteFlows(flows, func(f flow) bool {
		return slices.ContainsFunc(of, func(p netip.Prefix) bool { return p.Contains(f.orig.src) || p.Contains(f.reply.src) })
	})
}

func conntrackRequest(kind int, flags netlink.HeaderFlags, family byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_CTNETLINK<<8 | kind),
			Flags: netlink.Request | flags},
		Data: []byte{family, unix.NFNETLINK_V0, 0, 0},
	}
}

// flowCount returns the number of conntrack entries of this namespace; 0 on a kernel without CONFIG_NF_CT_NETLINK.
func (c *Conn) flowCount() (int, error) {
	// The kernel flags its single reply as multipart, but never sends NLMSG_DONE. The dump request after it
	// gets one, which ends the receive loop. That dump is short.
	sent, err := c.send([]netlink.Message{
		conntrackRequest(ctGetStats, 0, unix.AF_UNSPEC), request(unix.NFT_MSG_GETTABLE, netlink.Dump),
	})
	if err != nil {
		return 0, c.refusal("show", "connection tracking", err)
	}
	replies := make([]reply, 1)
	if err := c.readReplies(sent[:1], replies); err != nil {
		return 0, c.refusal("show", "connection tracking", err)
	}
	switch nfnetlink.Errno(replies[0].err) {
	case nil:
		return decodeFlowCount(replies[0].body)
	case unix.EINVAL, unix.EOPNOTSUPP:
		return 0, nil
	}
	return 0, c.refusal("show", "connection tracking", replies[0].err)
}

func decodeFlowCount(body []byte) (int, error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return 0, err
	}
	for ad.Next() {
		if ad.Type() == ctaStatsEntries {
			return int(ad.Uint32()), ad.Err()
		}
	}
	return 0, ad.Err()
}

// dumpRequest returns a request for all flows that may be stale. If only forwards of one port have changed, it
// requests the flows to this port only: a busy machine has tens of thousands of flows.
func (f *staleMatcher) dumpRequest() netlink.Message {
	all := conntrackRequest(ctGet, netlink.Dump, unix.AF_UNSPEC)
	if len(f.others) > 0 || len(f.forwards) != 1 {
		return all
	}
	for at, rules := range f.forwards {
		m := conntrackRequest(ctGet, netlink.Dump, familyOf(rules[0]))
		if slices.ContainsFunc(rules, func(c ruleChange) bool { return familyOf(c) != m.Data[0] }) {
			return all
		}
		port := append(attrBytes(ctaProtoNum, []byte{byte(at.proto)}), attrBytes(ctaProtoDstPort, be16(at.port))...)
		m.Data = append(m.Data, nested(ctaTupleOrig, nested(ctaTupleProto, port))...)
		// in host byte order, unlike the other attributes
		fields := binary.NativeEndian.AppendUint32(nil, ctFilterProto|ctFilterDstPort)
		m.Data = append(m.Data, nested(ctaFilter, attrBytes(ctaFilterOrigFlags, fields))...)
		return m
	}
	return all
}

// familyOf returns the address family of a forward's flows.
func familyOf(c ruleChange) byte {
	if f, ok := c.rule.(Forward); ok && f.To.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// flows returns the conntrack entries that req selects. It requests their number first: the kernel keeps the flows of
// all namespaces in one table, so a dump is slow even for a namespace without flows.
func (c *Conn) flows(req netlink.Message) ([]flow, error) {
	n, err := c.flowCount()
	if err != nil || n == 0 {
		return nil, err
	}
	bodies, err := c.list("connection tracking", req)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) { // in case a kernel refuses the filter
		bodies, err = c.list("connection tracking", conntrackRequest(ctGet, netlink.Dump, unix.AF_UNSPEC))
	}
	if err != nil {
		return nil, err
	}
	flows := make([]flow, 0, len(bodies))
	for _, b := range bodies {
		f, err := decodeFlow(b)
		if err != nil {
			return nil, err
		}
		flows = append(flows, f)
	}
	return flows, nil
}

// decodeFlow decodes a conntrack entry.
func decodeFlow(body []byte) (flow, error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return flow{}, err
	}
	f := flow{family: body[0]}
	for ad.Next() {
		switch ad.Type() {
		case ctaTupleOrig:
			f.identity = append(f.identity, nested(ctaTupleOrig, ad.Bytes())...)
			ad.Nested(f.orig.decode)
		case ctaTupleReply:
			ad.Nested(f.reply.decode)
		case ctaStatus:
			f.status = ad.Uint32()
		case ctaID, ctaZone:
			f.identity = append(f.identity, attrBytes(ad.Type(), ad.Bytes())...)
		}
	}
	return f, ad.Err()
}

func (t *tuple) decode(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case ctaTupleIP:
			ad.Nested(t.decodeAddrs)
		case ctaTupleProto:
			ad.Nested(t.decodePorts)
		}
	}
	return nil
}

func (t *tuple) decodeAddrs(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		a, _ := netip.AddrFromSlice(slices.Clone(ad.Bytes()))
		switch ad.Type() {
		case ctaIPv4Src, ctaIPv6Src:
			t.src = a
		case ctaIPv4Dst, ctaIPv6Dst:
			t.dst = a
		}
	}
	return nil
}

func (t *tuple) decodePorts(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case ctaProtoNum:
			t.proto = Proto(ad.Uint8())
		case ctaProtoSrcPort:
			t.srcPort = ad.Uint16()
		case ctaProtoDstPort:
			t.dstPort = ad.Uint16()
		}
	}
	return nil
}
