//go:build linux

package nft

import (
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Chain is a base chain of any table.
type Chain struct {
	Family string // nft's name: ip, ip6 or inet
	Table  string
	Name   string
}

// String returns the chain as nft names it: chain ip filter FORWARD.
func (c Chain) String() string { return "chain " + c.Family + " " + c.Table + " " + c.Name }

// families contains nft's names of the families that forward packets.
var families = map[byte]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6"}

// ForwardDrops returns the base chains of any table at the forward hook that drop a forwarded packet unless one of
// their rules accepts it: by their policy, or by a rule that drops or rejects all packets.
func (c *Conn) ForwardDrops() ([]Chain, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := request(unix.NFT_MSG_GETCHAIN, netlink.Dump)
	m.Data[0] = unix.NFPROTO_UNSPEC
	bodies, err := c.list("chains", m)
	if err != nil {
		return nil, err
	}
	var drops []Chain
	rules := make(map[Chain]chainVerdicts)
	for _, b := range bodies {
		chain, hook, policy, err := decodeBaseChain(b)
		if err != nil {
			return nil, err
		}
		if chain.Family == "" || hook != unix.NF_INET_FORWARD {
			continue
		}
		if policy != policyDrop {
			if err := c.readVerdicts(b[0], chain.Table, rules); err != nil {
				return nil, err
			}
		}
		if policy == policyDrop || endsInDrop(chain, rules, maxJumps) {
			drops = append(drops, chain)
		}
	}
	return drops, nil
}

// decodeBaseChain decodes a chain. c.Family is "" if the kernel forwards no packets of the chain's family.
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

// chainVerdicts are the verdicts of those rules of a chain that apply to all packets, in order.
type chainVerdicts []ruleVerdict

// A ruleVerdict is what a rule for all packets does.
type ruleVerdict struct {
	drops bool
	ends  bool   // accepts, returns or does not come back from another chain (goto)
	jump  string // the chain that it jumps to
}

// endsInDrop reports whether a chain drops each packet that no other rule accepts.
func endsInDrop(c Chain, rules map[Chain]chainVerdicts, depth int) bool {
	for _, r := range rules[c] {
		if r.drops || r.jump != "" && depth > 0 && endsInDrop(Chain{c.Family, c.Table, r.jump}, rules, depth-1) {
			return true
		}
		if r.ends {
			return false
		}
	}
	return false
}

// readVerdicts reads the rules of a table, if they are not in rules yet.
func (c *Conn) readVerdicts(family byte, table string, rules map[Chain]chainVerdicts) error {
	all := Chain{Family: families[family], Table: table} // marks the table as read
	if _, known := rules[all]; known {
		return nil
	}
	rules[all] = nil
	m := request(unix.NFT_MSG_GETRULE, netlink.Dump, attrString(unix.NFTA_RULE_TABLE, table))
	m.Data[0] = family
	bodies, err := c.list("rules of table "+all.Family+" "+table, m)
	if err != nil {
		return err
	}
	for _, b := range bodies {
		name, verdict, forAll, err := decodeVerdict(b)
		if err != nil {
			return err
		}
		if chain := (Chain{all.Family, table, name}); forAll {
			rules[chain] = append(rules[chain], verdict)
		}
	}
	return nil
}

// decodeVerdict decodes a rule. It reports in forAll whether the rule has a verdict for all packets.
func decodeVerdict(body []byte) (chain string, v ruleVerdict, forAll bool, err error) {
	ad, err := attrs(body)
	if err != nil {
		return "", v, false, err
	}
	forAll = true
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_RULE_CHAIN:
			chain = ad.String()
		case unix.NFTA_RULE_EXPRESSIONS:
			ad.Nested(func(list *netlink.AttributeDecoder) error {
				for list.Next() {
					list.Nested(func(ad *netlink.AttributeDecoder) error {
						forAll = v.decodeExpr(ad) && forAll
						return nil
					})
				}
				return nil
			})
		}
	}
	return chain, v, forAll && v != ruleVerdict{}, ad.Err()
}

// decodeExpr decodes an expression. It returns false if the expression does not match all packets, or is unknown.
func (v *ruleVerdict) decodeExpr(ad *netlink.AttributeDecoder) (matchesAll bool) {
	name := ""
	for ad.Next() {
		switch {
		case ad.Type() == unix.NFTA_EXPR_NAME:
			name = ad.String()
		case ad.Type() == unix.NFTA_EXPR_DATA && name == "immediate":
			ad.Nested(v.decodeImmediate)
		case ad.Type() == unix.NFTA_EXPR_DATA && name == "target": // of iptables-nft
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.NFTA_TARGET_NAME {
						v.drops = ad.String() == "REJECT"
						matchesAll = v.drops || slices.Contains([]string{"LOG", "NFLOG"}, ad.String())
					}
				}
				return nil
			})
		}
	}
	if name == "reject" {
		v.drops = true
	}
	return matchesAll || slices.Contains([]string{"counter", "log", "immediate", "reject"}, name)
}

// decodeImmediate decodes the verdict of an immediate expression.
func (v *ruleVerdict) decodeImmediate(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() != unix.NFTA_IMMEDIATE_DATA {
			continue
		}
		ad.Nested(func(ad *netlink.AttributeDecoder) error {
			for ad.Next() {
				if ad.Type() == unix.NFTA_DATA_VERDICT {
					ad.Nested(v.decodeCode)
				}
			}
			return nil
		})
	}
	return nil
}

// Verdicts: NF_DROP and NF_ACCEPT of <linux/netfilter.h>, and enum nft_verdicts of <linux/netfilter/nf_tables.h>.
const (
	verdictDrop   = 0
	verdictAccept = 1
	verdictJump   = -3
	verdictGoto   = -4
	verdictReturn = -5
)

func (v *ruleVerdict) decodeCode(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			code := int32(ad.Uint32())
			v.drops = code == verdictDrop
			v.ends = code == verdictAccept || code == verdictReturn || code == verdictGoto
		case unix.NFTA_VERDICT_CHAIN:
			v.jump = ad.String()
		}
	}
	return nil
}
