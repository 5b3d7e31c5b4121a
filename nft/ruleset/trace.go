//go:build linux

package ruleset

import (
	"errors"
	"net/netip"
	"os"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// TraceTable is the name of the table that a [Tracer] uses. It exists only during the trace. No lab's table has a name
// with this prefix.
const TraceTable = "vnettrace"

const (
	// traceGroup is the multicast group for trace events.
	traceGroup = unix.NFNLGRP_NFTRACE
	// traceBuffer is the size of the socket's receive buffer, in bytes. Without CAP_NET_ADMIN the kernel reduces it to
	// net.core.rmem_max.
	traceBuffer = 16 << 20
)

// Probe selects the packets that a [Tracer] traces: a request and its reply. It does not depend on addresses, because
// NAT may translate them.
type Probe struct {
	// Proto is IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP or IPPROTO_UDP.
	Proto byte
	// Payload is the first bytes after the ICMP echo header or the UDP header. For TCP it is empty, because TCP's first
	// packets have no payload.
	Payload []byte
	// Ports contains TCP ports; each matches as source or destination port.
	Ports []uint16
}

// A Tracer traces packets through the chains of one namespace, as nft monitor trace does, also through those of the
// family bridge. Its own chains, in the tables inet and bridge [TraceTable], accept all packets.
type Tracer struct {
	ns *os.File
	nl *netlink.Conn
}

// A Hook is a netfilter hook, and the name of the chain of [TraceTable] at this hook.
type Hook string

// The hooks. A forwarded packet passes prerouting, forward and postrouting; a local packet passes output and
// postrouting, or prerouting and input.
const (
	Prerouting  Hook = "prerouting"
	Input       Hook = "input"
	Forwarding  Hook = "forward"
	Output      Hook = "output"
	Postrouting Hook = "postrouting"
	// Ingress and Egress are the hooks of single links. A [Tracer] has no chains there.
	Ingress Hook = "ingress"
	Egress  Hook = "egress"
)

// A TraceEvent is the passage of a packet through a chain.
type TraceEvent struct {
	Chain Chain
	// Hook is the hook of a chain of the table inet TraceTable; "" for chains of other tables.
	Hook Hook
	// Handle is the rule's handle, as nft -a list prints it; 0 means the chain's policy.
	Handle uint64
	// Dropped means that the chain dropped the packet. A rule that rejects a packet also drops it.
	Dropped bool
	// ID identifies the packet within the namespace.
	ID uint32
	// In and Out are indexes of links; 0 means none or not known yet.
	In, Out uint32
	// Src and Dst are the packet's addresses at this chain; invalid if the kernel did not report them.
	Src, Dst netip.Addr
}

// A traceHook is a chain of a Tracer. The chains with trace run before all others and enable tracing; the others run
// after all others.
type traceHook struct {
	hook     Hook
	num      *nftables.ChainHook
	priority nftables.ChainPriority
	trace    bool
}

// traceHooks are the chains of the family inet.
var traceHooks = []traceHook{
	{Prerouting, nftables.ChainHookPrerouting, -450, true},
	{Output, nftables.ChainHookOutput, -450, true},
	{Input, nftables.ChainHookInput, 450, false},
	{Forwarding, nftables.ChainHookForward, 450, false},
	{Postrouting, nftables.ChainHookPostrouting, 450, false},
}

// traceBridgeHooks are the chains of the family bridge: a packet that a bridge forwards passes no others.
var traceBridgeHooks = []traceHook{
	{Prerouting, nftables.ChainHookPrerouting, -450, true}, // NF_BR_PRE_ROUTING has the same number
	{Output, nftables.ChainHookOutput, -450, true},
}

// Trace starts to trace a probe's packets in the namespace ns. The caller must call Close.
func Trace(ns *os.File, p Probe) (*Tracer, error) {
	nl, err := dial.Conn(unix.NETLINK_NETFILTER, ns, netlink.Config{})
	if err != nil {
		return nil, &nft.Error{Op: "open", Object: "nftables socket", Err: nfnetlink.Errno(err)}
	}
	t := &Tracer{ns, nl}
	if err := errors.Join(nl.SetReadBuffer(traceBuffer), nl.JoinGroup(traceGroup), t.install(p)); err != nil {
		t.Close()
		return nil, &nft.Error{Op: "trace", Object: "table inet " + TraceTable, Err: nfnetlink.Errno(err)}
	}
	return t, nil
}

// install creates the tables.
func (t *Tracer) install(p Probe) error {
	err := t.installTable(nftables.TableFamilyBridge, traceBridgeHooks, p)
	if err != nil && !isMissingFamily(err) {
		return err
	}
	return t.installTable(nftables.TableFamilyINet, traceHooks, p)
}

// isMissingFamily reports whether the kernel does not have a family. If it does not have the family bridge, there are
// no chains of this family to trace.
func isMissingFamily(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT)
}

// installTable creates a table. It replaces the table of a tracer that was not closed.
func (t *Tracer) installTable(family nftables.TableFamily, hooks []traceHook, p Probe) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(t.ns.Fd())))
	if err != nil {
		return err
	}
	table := &nftables.Table{Family: family, Name: TraceTable}
	c.AddTable(table)
	c.DelTable(table)
	c.AddTable(table)
	for _, h := range hooks {
		chain := c.AddChain(&nftables.Chain{
			Table: table, Name: string(h.hook), Type: nftables.ChainTypeFilter, Hooknum: h.num, Priority: &h.priority,
		})
		if !h.trace {
			continue
		}
		for _, match := range p.matches() {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, setTrace()...)})
		}
	}
	return c.Flush()
}

// setTrace returns the expressions of "meta nftrace set 1".
func setTrace() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: unix.NFT_REG_1, Data: []byte{1}},
		&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: unix.NFT_REG_1},
	}
}

// matches returns the matches for the probe's packets, one for each rule.
func (p Probe) matches() [][]expr.Any {
	field := func(offset uint32, want []byte) []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{p.Proto}},
			&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseTransportHeader, Offset: offset,
				Len: uint32(len(want))},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: want},
		}
	}
	if len(p.Payload) > 0 {
		return [][]expr.Any{field(8, p.Payload)} // after the header of ICMP or UDP
	}
	var all [][]expr.Any
	for _, port := range p.Ports {
		all = append(all, field(0, be16(port)), field(2, be16(port)))
	}
	return all
}

// Events returns the events since the last call, in order. It does not wait.
func (t *Tracer) Events() (events []TraceEvent, err error) {
	raw, err := t.nl.SyscallConn()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	for {
		var n int
		var readErr error
		err := raw.Control(func(fd uintptr) { n, _, readErr = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT) })
		if err == nil {
			err = readErr
		}
		if err == unix.EAGAIN {
			return events, nil
		}
		if err != nil {
			return events, &nft.Error{Op: "trace", Object: "table inet " + TraceTable, Err: nfnetlink.Errno(err)}
		}
		if events, err = appendTraces(events, buf[:n]); err != nil {
			return events, err
		}
	}
}

func appendTraces(events []TraceEvent, datagram []byte) ([]TraceEvent, error) {
	messages, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil {
		return events, err
	}
	for _, m := range messages {
		if m.Header.Type != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_TRACE {
			continue
		}
		e, err := decodeTrace(m.Data)
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}

// Close ends the trace and deletes its tables.
func (t *Tracer) Close() error {
	defer t.nl.Close()
	var errs []error
	for _, family := range []nftables.TableFamily{nftables.TableFamilyBridge, nftables.TableFamilyINet} {
		c, err := nftables.New(nftables.WithNetNSFd(int(t.ns.Fd())))
		if err == nil {
			c.DelTable(&nftables.Table{Family: family, Name: TraceTable})
			err = c.Flush()
		}
		if family != nftables.TableFamilyBridge || !isMissingFamily(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// decodeTrace decodes a message of type NFT_MSG_TRACE; see enum nft_trace_attributes of
// <linux/netfilter/nf_tables.h>.
func decodeTrace(body []byte) (e TraceEvent, err error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return e, err
	}
	e.Chain.Family = families[body[0]]
	var network []byte
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_TRACE_TABLE:
			e.Chain.Table = ad.String()
		case unix.NFTA_TRACE_CHAIN:
			e.Chain.Name = ad.String()
		case unix.NFTA_TRACE_RULE_HANDLE:
			e.Handle = ad.Uint64()
		case unix.NFTA_TRACE_ID:
			e.ID = ad.Uint32()
		case unix.NFTA_TRACE_IIF:
			e.In = ad.Uint32()
		case unix.NFTA_TRACE_OIF:
			e.Out = ad.Uint32()
		case unix.NFTA_TRACE_NETWORK_HEADER:
			network = ad.Bytes()
		case unix.NFTA_TRACE_POLICY:
			e.Dropped = e.Dropped || ad.Uint32() == verdictDrop
		case unix.NFTA_TRACE_VERDICT:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.NFTA_VERDICT_CODE {
						e.Dropped = e.Dropped || ad.Uint32() == verdictDrop
					}
				}
				return nil
			})
		}
	}
	e.Src, e.Dst = addressesOf(network)
	if e.Chain.Table == TraceTable && body[0] == unix.NFPROTO_INET {
		e.Hook = Hook(e.Chain.Name)
	}
	return e, ad.Err()
}

// addressesOf returns the addresses of an IPv4 or IPv6 header.
func addressesOf(header []byte) (src, dst netip.Addr) {
	switch {
	case len(header) >= 20 && header[0]>>4 == 4:
		src, dst = netip.AddrFrom4([4]byte(header[12:])), netip.AddrFrom4([4]byte(header[16:]))
	case len(header) >= 40 && header[0]>>4 == 6:
		src, dst = netip.AddrFrom16([16]byte(header[8:])), netip.AddrFrom16([16]byte(header[24:]))
	}
	return src, dst
}
