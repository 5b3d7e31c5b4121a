//go:build linux

package nft

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Chain is a base chain of any table.
type Chain struct {
	Family string // nft's name: ip, ip6, inet or bridge
	Table  string
	Name   string
	Legacy bool // a chain of iptables-legacy or ip6tables-legacy
}

// String returns the chain as nft names it: chain ip filter FORWARD. For a chain of iptables-legacy, it adds that.
func (c Chain) String() string {
	text := "chain " + c.Family + " " + c.Table + " " + c.Name
	if c.Legacy {
		text += " (iptables-legacy)"
	}
	return text
}

// table returns the chain without its name.
func (c Chain) table() Chain {
	c.Name = ""
	return c
}

// families contains nft's names of the families that forward packets.
var families = map[byte]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_BRIDGE: "bridge",
}

// ForwardDrops returns the base chains of any table at the forward hook that drop a forwarded packet unless one of
// their rules accepts it: by their policy, or by a rule that drops or rejects all packets. Chains of the family bridge
// drop packets between the ports of bridges. A chain that accepts packets from and to links of the group [LinkGroup]
// does not count. See also [LegacyForwardDrops].
func (c *Conn) ForwardDrops() ([]Chain, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := request(unix.NFT_MSG_GETCHAIN, netlink.Dump)
	m.Data[0] = unix.NFPROTO_UNSPEC
	bodies, err := c.list("chains", m)
	if err != nil {
		return nil, err
	}
	var found []Chain
	tables := map[Chain]map[string][]foreignRule{}
	for _, b := range bodies {
		chain, hook, policy, err := decodeBaseChain(b)
		if err != nil {
			return nil, err
		}
		if chain.Family == "" || hook != unix.NF_INET_FORWARD {
			continue
		}
		if err := c.readRules(chain, tables); err != nil {
			return nil, err
		}
		drops := policy == policyDrop || endsInDrop(chain, tables, maxJumps)
		if drops && !acceptsLabLinks(chain, tables[chain.table()][chain.Name]) {
			found = append(found, chain)
		}
	}
	return found, nil
}

// acceptsLabLinks reports whether rules of a chain accept all packets from links of the group [LinkGroup], and all to
// them. Ports of bridges have no group: there, a rule that accepts the packets of ports by their names is enough.
func acceptsLabLinks(c Chain, rules []foreignRule) bool {
	var in, out bool
	for _, r := range rules {
		field, accepts := otherField, false
		for i, s := range r.steps {
			switch {
			case s.kind == stepNothing:
			case s.kind == stepLoad && i == 0:
				field = s.field
			case s.kind == stepUnknown && i == 0 && s.low != nil: // of iptables
				field, accepts = s.field, isLinkGroup(s.low)
			case (s.kind == stepCompare || s.kind == stepLookup && !s.isMap) && s.op == expr.CmpOpEq && i == 1:
				accepts = isLinkGroup(s.low) || field == inField && c.Family == "bridge"
			default:
				accepts = accepts && i == len(r.steps)-1 && s.kind == stepVerdict && s.code == verdictAccept
			}
		}
		in = in || accepts && (field == inGroupField || field == inField)
		out = out || accepts && (field == outGroupField || field == inField)
	}
	return in && out
}

func isLinkGroup(b []byte) bool { return len(b) == 4 && binary.NativeEndian.Uint32(b) == LinkGroup }

// decodeBaseChain decodes a chain. c.Family is "" if packets of its family are neither forwarded nor bridged.
func decodeBaseChain(body []byte) (c Chain, hook, policy uint32, err error) {
	ad, err := attrs(body)
	if err != nil {
		return c, 0, 0, err
	}
	hook, policy = ^uint32(0), policyAccept
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_CHAIN_TABLE:
			c.Table = ad.String()
		case unix.NFTA_CHAIN_NAME:
			c.Name = ad.String()
		case unix.NFTA_CHAIN_POLICY:
			policy = ad.Uint32()
		case unix.NFTA_CHAIN_HOOK:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.NFTA_HOOK_HOOKNUM {
						hook = ad.Uint32()
					}
				}
				return nil
			})
		}
	}
	c.Family = families[body[0]]
	return c, hook, policy, ad.Err()
}

// maxJumps is NFT_JUMP_STACK_SIZE of the kernel's include/net/netfilter/nf_tables.h.
const maxJumps = 16

// endsInDrop reports whether a chain drops each packet that no rule for some packets accepts.
func endsInDrop(c Chain, tables map[Chain]map[string][]foreignRule, depth int) bool {
	for _, r := range tables[c.table()][c.Name] {
		v := r.verdict()
		next := c
		next.Name = v.chain
		switch {
		case v.kind == stepReject, v.kind == stepVerdict && v.code == verdictDrop:
			return true
		case v.chain != "" && depth > 0 && endsInDrop(next, tables, depth-1):
			return true
		case v.kind == stepVerdict && v.code != verdictJump:
			return false
		}
	}
	return false
}

// verdict returns what a rule does with all packets: stepReject, stepVerdict, or stepNothing if it has a condition or
// no verdict.
func (r foreignRule) verdict() ruleStep {
	for _, s := range r.steps {
		if s.kind != stepNothing {
			if s.kind == stepVerdict || s.kind == stepReject {
				return s
			}
			break
		}
	}
	return ruleStep{kind: stepNothing}
}

// Verdicts: NF_DROP and NF_ACCEPT of <linux/netfilter.h>, and enum nft_verdicts of <linux/netfilter/nf_tables.h>.
const (
	verdictDrop   = 0
	verdictAccept = 1
	verdictJump   = -3
	verdictGoto   = -4
	verdictReturn = -5
)
