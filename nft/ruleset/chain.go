//go:build linux

package ruleset

import (
	"errors"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// A Chain is a chain of any table.
type Chain struct {
	Family string // nft's name: ip, ip6, inet, bridge, arp or netdev
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

// families contains nft's names of the families of tables.
var families = map[byte]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_BRIDGE: "bridge",
	unix.NFPROTO_ARP: "arp", unix.NFPROTO_NETDEV: "netdev",
}

// familyNumber returns the number of a family with a name in families.
func familyNumber(name string) byte {
	for n, known := range families {
		if known == name {
			return n
		}
	}
	return unix.NFPROTO_UNSPEC
}

// A listedChain is a chain as the kernel lists it.
type listedChain struct {
	Chain
	family       byte     // NFPROTO_*
	hook, policy uint32   // of a base chain
	links        []string // of a base chain of a netdev hook
}

// isAt reports whether the chain is at a hook of packets that are routed or bridged. Hooks of other families have the
// same numbers.
func (c listedChain) isAt(hooks ...uint32) bool {
	return c.family != unix.NFPROTO_ARP && c.family != unix.NFPROTO_NETDEV && slices.Contains(hooks, c.hook)
}

// listChains lists the chains of all tables of a namespace.
func listChains(c *nft.Conn) (all []listedChain, err error) {
	bodies, err := c.Dump("chains", unix.NFT_MSG_GETCHAIN, unix.NFPROTO_UNSPEC)
	if err != nil {
		return nil, err
	}
	for _, b := range bodies {
		chain, err := decodeChain(b)
		if err != nil {
			return nil, err
		}
		all = append(all, chain)
	}
	return all, nil
}

func decodeChain(body []byte) (c listedChain, err error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return c, err
	}
	c.hook, c.policy = ^uint32(0), verdictAccept
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_CHAIN_TABLE:
			c.Table = ad.String()
		case unix.NFTA_CHAIN_NAME:
			c.Name = ad.String()
		case unix.NFTA_CHAIN_POLICY:
			c.policy = ad.Uint32()
		case unix.NFTA_CHAIN_HOOK:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case unix.NFTA_HOOK_HOOKNUM:
						c.hook = ad.Uint32()
					case nfnetlink.HookDevs:
						ad.Nested(func(list *netlink.AttributeDecoder) error {
							for list.Next() {
								c.links = append(c.links, list.String())
							}
							return nil
						})
					}
				}
				return nil
			})
		}
	}
	c.family, c.Family = body[0], families[body[0]]
	return c, ad.Err()
}

// tables contains rules, by the table (a Chain without a name) and the name of the chain.
type tables map[Chain]map[string][]rule

// of returns the rules of a chain.
func (t tables) of(c Chain) []rule { return t[c.table()][c.Name] }

// read reads the rules of a chain's table, unless t has them.
func (t tables) read(c *nft.Conn, chain listedChain) error {
	table := chain.table()
	if t[table] != nil {
		return nil
	}
	t[table] = map[string][]rule{}
	bodies, err := c.Dump("rules of table "+chain.Family+" "+chain.Table, unix.NFT_MSG_GETRULE, chain.family,
		attrString(unix.NFTA_RULE_TABLE, chain.Table))
	for _, b := range bodies {
		r, decodeErr := decodeRule(chain.family, b)
		err = errors.Join(err, decodeErr)
		t[table][r.chain] = append(t[table][r.chain], r)
	}
	return err
}

// attrString returns an attribute with a string.
func attrString(kind uint16, value string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: []byte(value + "\x00")}
}
