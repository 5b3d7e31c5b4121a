//go:build linux

package nft

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// TestKernelWithoutConntrack checks that a kernel without CONFIG_NF_CT_NETLINK is no error, and that other refusals
// are.
func TestKernelWithoutConntrack(t *testing.T) {
	removed := []Rule{Masquerade{Out: "eth0"}}
	for errno, want := range map[unix.Errno]error{
		unix.EINVAL: nil, unix.EOPNOTSUPP: nil, unix.EPERM: unix.EPERM, unix.ENOBUFS: unix.ENOBUFS,
	} {
		c := fakeConn(func(sent []netlink.Message) [][]netlink.Message {
			return [][]netlink.Message{{errorReply(sent[0].Header.Sequence, errno)}}
		})
		if err := c.deleteStaleFlows(removed, nil); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// tupleAttr encodes one direction of a UDP flow.
func tupleAttr(kind uint16, src, dst string, srcPort, dstPort uint16) []byte {
	addrs := append(attrBytes(ctaIPv4Src, netip.MustParseAddr(src).AsSlice()),
		attrBytes(ctaIPv4Dst, netip.MustParseAddr(dst).AsSlice())...)
	ports := slices.Concat(attrBytes(ctaProtoNum, []byte{byte(UDP)}), attrBytes(ctaProtoSrcPort, be16(srcPort)),
		attrBytes(ctaProtoDstPort, be16(dstPort)))
	return nested(kind, append(nested(ctaTupleIP, addrs), nested(ctaTupleProto, ports)...))
}

// flowReply returns a conntrack entry of a flow from a port to port 53.
func flowReply(to netlink.Message, port uint16, status uint32) netlink.Message {
	m := conntrackRequest(ctGet, netlink.Multi, unix.AF_INET)
	m.Header.Sequence = to.Header.Sequence
	m.Data = slices.Concat(m.Data, tupleAttr(ctaTupleOrig, "192.168.15.2", "10.9.0.2", port, 53),
		tupleAttr(ctaTupleReply, "10.9.0.2", "198.51.100.7", 53, port), attr32(ctaStatus, status))
	return m
}

// replyThreeFlows replies that there are three flows.
func replyThreeFlows(sent []netlink.Message) [][]netlink.Message {
	m := conntrackRequest(ctGetStats, 0, unix.AF_UNSPEC)
	m.Header.Sequence = sent[0].Header.Sequence
	m.Data = append(m.Data, attr32(ctaStatsEntries, 3)...)
	return [][]netlink.Message{{m}}
}

// TestKernelWithoutDumpFilter checks that a dump is repeated without a filter if the kernel refuses the filter.
func TestKernelWithoutDumpFilter(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP} {
		deleted := 0
		err := fakeConn(replyThreeFlows, func(sent []netlink.Message) [][]netlink.Message {
			return [][]netlink.Message{{errorReply(sent[0].Header.Sequence, errno)}}
		}, func(sent []netlink.Message) [][]netlink.Message {
			return [][]netlink.Message{{flowReply(sent[0], 1, 0), flowReply(sent[0], 2, 0), done(sent[0])}}
		}, func(sent []netlink.Message) [][]netlink.Message {
			deleted = len(sent)
			return [][]netlink.Message{{errorReply(sent[0].Header.Sequence, 0)},
				{errorReply(sent[1].Header.Sequence, 0)}}
		}).deleteStaleFlows(nil, []Rule{Forward{Proto: UDP, Ports: Port(53), To: netip.MustParseAddr("10.9.0.3"),
			ToPort: 53}})
		if err != nil || deleted != 2 {
			t.Errorf("%v: deleted %d flows, %v", errno, deleted, err)
		}
	}
}

// TestBusyFlow checks that a flow that the kernel does not delete (EBUSY for offloaded flows) is an error, that a flow
// that has already ended is not, and that all other flows are still deleted.
func TestBusyFlow(t *testing.T) {
	listed := func(sent []netlink.Message) [][]netlink.Message {
		return [][]netlink.Message{{flowReply(sent[0], 1, flowSrcNAT), flowReply(sent[0], 2, flowSrcNAT),
			flowReply(sent[0], 3, flowSrcNAT), done(sent[0])}}
	}
	for _, tt := range []struct{ first, second, want unix.Errno }{
		{unix.EBUSY, 0, unix.EBUSY}, {unix.ENOENT, 0, 0}, {0, unix.EBUSY, unix.EBUSY},
	} {
		requested := 0
		deleted := func(sent []netlink.Message) [][]netlink.Message {
			requested = len(sent)
			return [][]netlink.Message{
				{errorReply(sent[0].Header.Sequence, tt.first)}, {errorReply(sent[1].Header.Sequence, tt.second)},
				{errorReply(sent[2].Header.Sequence, 0)},
			}
		}
		err := fakeConn(replyThreeFlows, listed, deleted).deleteStaleFlows([]Rule{SourceNAT{
			Source: netip.MustParsePrefix("192.168.15.0/24"), To: netip.MustParseAddr("198.51.100.7")}}, nil)
		if (err == nil) != (tt.want == 0) || tt.want != 0 && !errors.Is(err, tt.want) || requested != 3 {
			t.Errorf("%v: requested to delete %d flows, %v", tt, requested, err)
		}
	}
}

// TestDecodeAddr checks addresses with a peer, for which IFA_ADDRESS is the peer's, in both orders.
func TestDecodeAddr(t *testing.T) {
	header := append(make([]byte, 4), native32(7)...)
	own, peer := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	local, address := attrBytes(unix.IFA_LOCAL, own.AsSlice()), attrBytes(unix.IFA_ADDRESS, peer.AsSlice())
	for _, body := range [][]byte{slices.Concat(header, local, address), slices.Concat(header, address, local),
		slices.Concat(header, attrBytes(unix.IFA_ADDRESS, own.AsSlice()))} {
		if link, addr, _, err := decodeAddr(body); link != 7 || addr != own || err != nil {
			t.Errorf("link %d, %s, %v", link, addr, err)
		}
	}
	if _, _, _, err := decodeAddr(header[:7]); !errors.Is(err, nfnetlink.ErrTruncated) {
		t.Errorf("truncated: %v", err)
	}
}

// TestForeignCannotBeAdded checks that Apply refuses Foreign elements, and the zero value too.
func TestForeignCannotBeAdded(t *testing.T) {
	all := element{set: "dnat4", data: "\x0a\x00\x00\x01" + encodePort(80)}
	for _, foreign := range []Foreign{{all}, {}} {
		var e *Error
		if err := fakeConn().Apply("vnet", nil, []Rule{foreign}); !errors.As(err, &e) || e.Op != "check" {
			t.Errorf("%s: %v", foreign, err)
		}
	}
	if got, want := (Foreign{all}).String(), "element dnat4 { * : 10.0.0.1 . 80 }"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
