// Package nft keeps NAT and isolation of one network namespace in an nftables
// table of its own: masquerade, source NAT, forwarded ports (DNAT), pairs of
// links between which nothing is forwarded, and links between which established
// connections are, past all rules.
//
//	Masquerade ─┐                                        table inet vnet {
//	SourceNAT  ─┤        elements        one                set masquerade4 { … }
//	Forward    ─┼─▶ Rule ───────▶ Change ────────────▶      map dnat4 { tcp . 80 : … }
//	Isolate    ─┤  (a value)        │     transaction       flowtable fastpath { … }
//	Fastpath   ─┘                   └─▶ nft -f's words      chain prerouting { … }
//	                                                      }
//
//	kernel ──▶ Conn.Read ──▶ the same values, with counters
//
// Each [Rule] is one element of a named set or map, so that the ten-thousandth
// forwarded port costs a packet what the first one does, and adding it is one
// small message. The chains hold a fixed text, which depends on nothing but
// which sets there are; nft list table prints it, and nft -f reads it back.
//
// # What the rules do
//
// Without an address a [Forward] takes what is addressed to the machine itself,
// never what passes through. It works from outside, from the machine (127.0.0.1
// too, if net.ipv4.conf.DEV.route_localnet is on for the link towards the
// target; the kernel has nothing of the kind for ::1), and from a neighbour of
// the target on the same link, whose source address is then replaced so that
// the answer comes back the same way. Other clients keep their address.
//
// What goes from one masqueraded network to another stays as it is.
//
// Whatever can be forwarded to from 127.0.0.1 needs protection from the wire: the
// table drops packets from or to 127.0.0.0/8 that come in by a link.
//
// Connection tracking remembers how a flow was translated. [Conn.Apply] makes it
// forget the flows that a change concerns; see the method.
//
// # What is not checked
//
// Whether forwarding is on (net.ipv4.ip_forward), whether devices exist, and
// what other tables do: an accept here does not stop a drop there;
// [Conn.ForwardDrops] tells who would. Other tables are never changed.
//
// The kernel has to be 5.10 or newer, with CONFIG_NF_TABLES_INET, NFT_NAT,
// NFT_MASQ, NFT_CT and NFT_FIB_INET; for a [Fastpath] also NF_FLOW_TABLE_INET and
// NFT_FLOW_OFFLOAD.
package nft
