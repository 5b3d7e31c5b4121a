//go:build linux

package ruleset

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// ForwardDrops returns the base chains of any table at the forward hook that drop a forwarded packet unless one of
// their rules accepts it: by their policy, or by a rule that drops or rejects all packets. Chains of the family bridge
// drop packets between the ports of bridges. A chain that accepts packets from and to links of the group
// [nft.LinkGroup] does not count. See also [LegacyForwardDrops].
func ForwardDrops(c *nft.Conn) ([]Chain, error) {
	chains, err := listChains(c)
	if err != nil {
		return nil, err
	}
	var found []Chain
	rules := tables{}
	for _, chain := range chains {
		if !chain.isAt(unix.NF_INET_FORWARD) {
			continue
		}
		if err := rules.read(c, chain); err != nil {
			return nil, err
		}
		drops := chain.policy == verdictDrop || rules.endsInDrop(chain.Chain, maxJumps)
		if drops && !acceptsLabLinks(chain.Chain, rules.of(chain.Chain)) {
			found = append(found, chain.Chain)
		}
	}
	return found, nil
}

// acceptsLabLinks reports whether rules of a chain accept all packets from links of the group [nft.LinkGroup], and all
// packets to them. Ports of bridges are not in the group: in the family bridge, a rule that accepts packets by the name
// of the input port is enough.
func acceptsLabLinks(c Chain, rules []rule) bool {
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

func isLinkGroup(b []byte) bool { return len(b) == 4 && binary.NativeEndian.Uint32(b) == nft.LinkGroup }

// maxJumps is NFT_JUMP_STACK_SIZE of the kernel's include/net/netfilter/nf_tables.h.
const maxJumps = 16

// endsInDrop reports whether a chain drops each packet that no rule for some packets accepts.
func (t tables) endsInDrop(c Chain, depth int) bool {
	for _, r := range t.of(c) {
		v := r.verdict()
		next := c
		next.Name = v.chain
		switch {
		case v.kind == stepReject, v.kind == stepVerdict && v.code == verdictDrop:
			return true
		case v.chain != "" && depth > 0 && t.endsInDrop(next, depth-1):
			return true
		case v.kind == stepVerdict && v.code != verdictJump:
			return false
		}
	}
	return false
}

// verdict returns what a rule does with all packets: stepReject, stepVerdict, or stepNothing if it has a condition or
// no verdict.
func (r rule) verdict() step {
	for _, s := range r.steps {
		if s.kind != stepNothing {
			if s.kind == stepVerdict || s.kind == stepReject {
				return s
			}
			break
		}
	}
	return step{kind: stepNothing}
}
