// Package nft manages an nftables table in a network namespace. The table contains masquerade, source NAT (SNAT),
// forwarded ports (DNAT), pairs of links between which nothing is forwarded, links that are closed to others, and fast
// paths (a flowtable): links between which established connections bypass all rules. A table of the same name in the
// family bridge contains the rules about ports of bridges: [Hairpin], [Antispoof] and [PortAddress].
//
//	Masquerade ─┐                                        table inet vnet {
//	SourceNAT  ─┤        elements        one                set masquerade4_24 { … }
//	Forward    ─┼─▶ Rule ───────▶ Change ────────────▶      map dnat4 { tcp . 80 : … }
//	Isolate    ─┤  (a value)        │     transaction       flowtable fastpath { … }
//	Closed     ─┤                   │                       chain prerouting { … }
//	Allow      ─┤                   └─▶ text for nft -f   }
//	Own, Gate  ─┤
//	Fastpath   ─┘
//
//	kernel ──▶ Conn.Read ──▶ the same rules, with counters
//
// Each [Rule] is an element of a named set or map. So the cost of a packet does not depend on the number of forwarded
// ports, and one small message adds a port. The text of the chains depends only on which sets the table has.
// nft list table prints this text, and nft -f reads it.
//
// # What the rules do
//
// A [Forward] without an address matches packets to the namespace's own addresses, but no packets to other addresses.
// It works from outside, from the namespace itself, and from a neighbour of the target on the same link. From
// 127.0.0.1 it works if net.ipv4.conf.DEV.route_localnet is on for the link towards the target; the kernel has no such
// setting for ::1. A neighbour's source address is translated, so that replies come back the same way. Other clients
// keep their address.
//
// Of several [Masquerade] and [SourceNAT] rules for a packet, the one with the longest prefix applies. Packets from one
// masqueraded network to another are not translated.
//
// With route_localnet, services on 127.0.0.1 need protection: the table drops packets from or to 127.0.0.0/8 that
// arrive on a link.
//
// # What the table drops
//
// NAT does not see packets that connection tracking does not recognize. The chain leak runs after NAT and drops such
// a packet if it leaves with the source of a [Masquerade] or [SourceNAT]. It drops neither replies to connections from
// outside, nor packets between the sources of rules without Out.
//
// A [Closed] link gets forwarded packets only from links in [Own] and from sources of an [Allow]. Between the links of
// an [Isolate], nothing is forwarded. Both accept packets to forwarded ports. Closed also accepts all packets of
// connections whose first packet was accepted, and so does Isolate for the direction that it does not forbid. A [Gate]
// drops packets whose source address is not behind the link that they arrive on. [Antispoof] drops frames whose
// addresses are not those of their port.
//
// # The guard
//
// If forwarding is off and vnet turns it on for a lab, all networks of the machine could reach each other. A [Guard]
// prevents this. Its table vnet-guard is the only one that several labs share:
//
//	table inet vnet-guard {
//		set guarded { type nf_proto; elements = { ipv4 } }
//		set from4 { type ifname; elements = { "eth0" } }
//		chain reply {
//			meta iifkind "bridge" add @bridged { iifname . iifname }
//			iifname . oifname @bridged return
//			meta nfproto @guarded fib saddr . iif oif 0 drop  not behind the link that the packet arrives on
//		}
//		chain forward {
//			type filter hook forward priority filter; policy accept;
//			meta nfproto ipv4 iifname @from4 return  links that forwarded before vnet turned forwarding on
//			iifgroup != 30318 oifgroup != 30318 ct direction reply jump reply
//			ct state established,related accept
//			iifgroup 30318 return                 links of labs
//			oifgroup 30318 return
//			ct status dnat return                 forwarded ports, of any table
//			meta iifkind "bridge" add @bridged { iifname . iifname }
//			iifname . oifname @bridged return     bridged, or routed back to the bridge
//			meta nfproto @guarded drop
//		}
//		chain same_bridge {
//			the rules of chain forward, without those for replies and bridged packets
//		}
//		chain routed {
//			type filter hook postrouting priority filter; policy accept;
//			iifname . oifname @bridged @ll,0,48 != 0x0 jump same_bridge  not the namespace's own
//		}
//	}
//
// # Changes
//
// Connection tracking stores how a flow is translated. [Conn.Apply] deletes the conntrack entries that a change makes
// stale; see the method.
//
// If the kernel's reply to a change is lost, the next attempt reads what the table has, so the change is made once and
// completely. Changes of several processes wait for each other. An operation fails if, for ten seconds, the kernel does
// not reply or the ruleset changes during each attempt.
//
// # What is not checked
//
// The package does not check whether forwarding is on (net.ipv4.ip_forward), whether devices exist, or what other
// tables do. A packet that this table accepts may still be dropped by another; package ruleset finds the chains
// that drop forwarded packets. Other tables are never changed.
//
// # Requirements
//
// Linux 5.10 or newer, with CONFIG_NF_TABLES_INET, NFT_NAT, NFT_MASQ, NFT_CT and NFT_FIB_INET; for a [Fastpath] also
// NF_FLOW_TABLE_INET and NFT_FLOW_OFFLOAD, and for rules about ports of bridges NF_TABLES_BRIDGE.
package nft
