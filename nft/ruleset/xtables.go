//go:build linux

package ruleset

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// decodeXtables decodes a match or target of iptables-nft.
func (s *step) decodeXtables(kind string, ad *netlink.AttributeDecoder) error {
	name, revision, info := "", byte(0), []byte(nil)
	for ad.Next() {
		switch ad.Type() { // NFTA_MATCH_* has the same numbers
		case unix.NFTA_TARGET_NAME:
			name = ad.String()
		case unix.NFTA_TARGET_REV:
			revision = byte(ad.Uint32())
		case unix.NFTA_TARGET_INFO:
			info = ad.Bytes()
		}
	}
	if kind == "match" {
		*s = xtMatch(name, revision, info)
	} else {
		*s = xtTarget(name)
	}
	return nil
}

// xtTarget returns what a target of iptables does.
func xtTarget(name string) step {
	switch name {
	case "REJECT":
		return step{kind: stepReject}
	case "DNAT", "REDIRECT", "TPROXY", "NETMAP":
		return step{kind: stepRedirect}
	case "SNAT", "MASQUERADE":
		return step{kind: stepEndChain}
	case "LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "TCPMSS", "CT":
		return step{kind: stepNothing}
	}
	return step{kind: stepUnknown}
}

// xtMatch returns the step for a match of iptables. Ports are in host byte order: struct xt_tcp, struct xt_udp and
// struct xt_multiport_v1 of <linux/netfilter/>.
func xtMatch(name string, revision byte, info []byte) step {
	s := step{kind: stepPorts, op: expr.CmpOpEq}
	port := func(at int) uint16 { return binary.NativeEndian.Uint16(info[at:]) }
	switch {
	case name == "comment":
		return step{kind: stepNothing}
	case name == "tcp" && len(info) >= 12 && info[11]&xtInvertPort == 0,
		name == "udp" && len(info) >= 9 && info[8]&xtInvertPort == 0:
		s.ports = []nft.Ports{{First: port(4), Last: port(6)}}
	case name == "multiport" && revision == 1 && len(info) >= 48 && info[0] != xtSourcePorts:
		count := min(int(info[1]), 15)
		for i := 0; i < count; i++ {
			p := nft.Port(port(2 + 2*i))
			if info[32+i] != 0 && i+1 < count { // a range takes two entries
				i++
				p.Last = port(2 + 2*i)
			}
			s.ports = append(s.ports, p)
		}
		if info[47] != 0 {
			s.op = expr.CmpOpNeq
		}
	case name == "devgroup" && len(info) >= 20: // struct xt_devgroup_info
		s = step{kind: stepUnknown}
		switch binary.NativeEndian.Uint32(info) {
		case xtSourceGroup:
			s.field, s.low = inGroupField, info[4:8]
		case xtDestinationGroup:
			s.field, s.low = outGroupField, info[12:16]
		}
	default:
		return step{kind: stepUnknown}
	}
	return s
}

const (
	xtInvertPort  = 2 // XT_TCP_INV_DSTPT and XT_UDP_INV_DSTPT
	xtSourcePorts = 0 // XT_MULTIPORT_SOURCE

	xtSourceGroup      = 1 // XT_DEVGROUP_MATCH_SRC
	xtDestinationGroup = 4 // XT_DEVGROUP_MATCH_DST
)
