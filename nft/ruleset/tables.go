//go:build linux

package ruleset

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// ReadTables reads the tables of a namespace that nft(8) or another program made. It skips [nft.GuardTable] and the
// tables for which skip returns true. It returns the rules that masquerade or translate to a single address, and the
// chains that contain other rules.
func ReadTables(ns *os.File, skip func(table string) bool) (rules []nft.Rule, others []Chain, err error) {
	c, err := nft.Dial(ns)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	chains, err := listChains(c)
	if err != nil {
		return nil, nil, err
	}
	for _, chain := range chains {
		if chain.Table == nft.GuardTable || skip(chain.Table) {
			continue
		}
		chainRules, err := c.Dump("rules of "+chain.String(), unix.NFT_MSG_GETRULE, chain.family,
			attrString(unix.NFTA_RULE_TABLE, chain.Table), attrString(unix.NFTA_RULE_CHAIN, chain.Name))
		if err != nil {
			return nil, nil, err
		}
		all := true
		for _, body := range chainRules {
			rule, ok := parseRule(chain.family, body)
			if all = all && ok; ok {
				rules = append(rules, rule)
			}
		}
		if !all {
			others = append(others, chain.Chain)
		}
	}
	return rules, others, nil
}

// TraceTables returns the families of the tables [TraceTable] of a namespace: those of a [Tracer] that runs, or that
// was killed.
func TraceTables(c *nft.Conn) (all []string, err error) {
	bodies, err := c.Dump("tables", unix.NFT_MSG_GETTABLE, unix.NFPROTO_UNSPEC)
	if err != nil {
		return nil, err
	}
	for _, b := range bodies {
		ad, err := nfnetlink.Attributes(b)
		if err != nil {
			return nil, err
		}
		for ad.Next() {
			if ad.Type() == unix.NFTA_TABLE_NAME && ad.String() == TraceTable {
				all = append(all, families[b[0]])
			}
		}
	}
	return all, nil
}
