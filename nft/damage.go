//go:build linux

package nft

import (
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// checkChains finds out whether the table's chains lack rules that its sets need, as after nft flush table: then the
// sets still have their elements, but these have no effect. If the ruleset changed meanwhile, complete is false.
func (c *Conn) checkChains(t table, have *content) (complete bool, err error) {
	chains := chainsFor(have.sets)
	if len(chains) == 0 {
		return true, nil
	}
	bodies, complete, err := c.dump("rules of table "+t.String(),
		t.request(unix.NFT_MSG_GETRULE, netlink.Dump, attrString(unix.NFTA_RULE_TABLE, t.name)))
	if errors.Is(err, unix.ENOENT) {
		return false, nil // deleted in the meantime
	}
	if err != nil || !complete {
		return false, err
	}
	counts := make(map[string]int)
	for _, b := range bodies {
		chain, err := decodeString(b, unix.NFTA_RULE_CHAIN)
		if err != nil {
			return false, err
		}
		counts[chain]++
	}
	for _, ch := range chains {
		have.damaged = have.damaged || counts[ch.name] < len(ch.rules)
	}
	return true, nil
}
