//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
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

// forget makes connection tracking forget the flows that a change concerns. A
// kernel without CONFIG_NF_CT_NETLINK cannot be asked to; its flows end by
// themselves, when nothing is sent for a while.
func (c *Conn) forget(old, new []Rule) error {
	forgetter := newForgetter(old, new)
	if forgetter.empty() {
		return nil
	}
	flows, err := c.flows(forgetter.question())
	if err != nil || len(flows) == 0 {
		return err
	}
	if forgetter.needsOwn() {
		if forgetter.own, err = c.addresses(); err != nil {
			return err
		}
	}
	var deletions []netlink.Message
	for _, f := range flows {
		if forgetter.forgets(f) {
			m := conntrackRequest(ctDelete, netlink.Acknowledge, f.family)
			m.Data = append(m.Data, f.identity...)
			deletions = append(deletions, m)
		}
	}
	answers, err := c.ask("connection tracking", deletions)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.err != nil && !errors.Is(a.err, unix.ENOENT) { // it may have ended meanwhile
			return &Error{Op: "delete", Object: "tracked connection", Err: errnoOf(a.err)}
		}
	}
	return nil
}

func conntrackRequest(kind int, flags netlink.HeaderFlags, family byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_CTNETLINK<<8 | kind), Flags: netlink.Request | flags},
		Data:   []byte{family, unix.NFNETLINK_V0, 0, 0},
	}
}

// tracked is how many flows connection tracking knows in this namespace; none
// where it cannot be asked.
func (c *Conn) tracked() (int, error) {
	// The kernel marks its one answer as the first of many, and never sends a last
	// one. The list behind has one, and ends the waiting; it is short.
	sent, err := c.nl.SendMessages([]netlink.Message{
		conntrackRequest(ctGetStats, 0, unix.AF_UNSPEC), request(unix.NFT_MSG_GETTABLE, netlink.Dump),
	})
	if err != nil {
		return 0, c.refusal("show", "connection tracking", err)
	}
	answers := make([]answer, 1)
	if err := c.answers(sent[:1], answers); err != nil {
		return 0, c.refusal("show", "connection tracking", err)
	}
	switch errnoOf(answers[0].err) {
	case nil:
		return decodeTracked(answers[0].body)
	case unix.EINVAL, unix.EOPNOTSUPP:
		return 0, nil
	}
	return 0, c.refusal("show", "connection tracking", answers[0].err)
}

func decodeTracked(body []byte) (int, error) {
	ad, err := attrs(body)
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

// question asks for the flows that may be to be forgotten: where only forwards of one
// port have changed, those to it. All are tens of thousands on a busy machine.
func (f *forgetter) question() netlink.Message {
	all := conntrackRequest(ctGet, netlink.Dump, unix.AF_UNSPEC)
	if len(f.others) > 0 || len(f.forwards) != 1 {
		return all
	}
	for at, rules := range f.forwards {
		m := conntrackRequest(ctGet, netlink.Dump, familyOf(rules[0]))
		if slices.ContainsFunc(rules, func(c changed) bool { return familyOf(c) != m.Data[0] }) {
			return all
		}
		port := append(attrBytes(ctaProtoNum, []byte{byte(at.proto)}), attrBytes(ctaProtoDstPort, be16(at.port))...)
		m.Data = append(m.Data, nested(ctaTupleOrig, nested(ctaTupleProto, port))...)
		fields := binary.NativeEndian.AppendUint32(nil, ctFilterProto|ctFilterDstPort) // unlike all others
		m.Data = append(m.Data, nested(ctaFilter, attrBytes(ctaFilterOrigFlags, fields))...)
		return m
	}
	return all
}

// familyOf is that of a forward's flows.
func familyOf(c changed) byte {
	if f, ok := c.rule.(Forward); ok && f.To.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// flows lists what connection tracking knows, of what is asked for. It first asks how
// much there is: the kernel keeps the flows of all namespaces in one table, and to look
// through it for one takes long.
func (c *Conn) flows(question netlink.Message) ([]flow, error) {
	n, err := c.tracked()
	if err != nil || n == 0 {
		return nil, err
	}
	bodies, err := c.list("connection tracking", question)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) { // some kernel may not like to choose
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

// decodeFlow reads an entry of connection tracking.
func decodeFlow(body []byte) (flow, error) {
	ad, err := attrs(body)
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
