// Package ruleset finds out what the rules of a network namespace do to packets: those that nft(8), iptables in both of
// its forms or another program made, and those of vnet.
//
//	              ┌──▶ ReadTables ─────▶ rules that package nft has, and the chains with other rules
//	kernel's ─────┼──▶ Drops ──────────▶ chains that drop, or may drop, given packets
//	rules         │
//	              └──▶ DestinationNAT ─▶ the rule that takes the packets of a forward
//
//	packets ─────────▶ Trace ──────────▶ the chains that a packet passes, and the rule that drops it
//
// [Drops] and [DestinationNAT] read a rule as a list of steps: load a field of the packet into a
// register, compare it, look it up in a set, jump to a chain, drop. They follow packets through these steps, from the
// chains at a hook through jumps, maps and sets. The rules of iptables-nft and of iptables-legacy become the same
// steps.
//
// # What is not known
//
// A step that the package does not know, such as a limit or a match of iptables, may match some packets and not others.
// So a rule with such a step drops nothing for certain, but may take a packet. The package does not follow packets
// through the family arp, nor through BPF programs; only [Drops] follows them through the family netdev. [Trace]
// sees nothing of iptables-legacy.
//
// # What changes
//
// The package changes no rules. Only [Trace] adds tables, named [TraceTable], and deletes them at the end.
//
// # Requirements
//
// Linux 5.10 or newer, with CONFIG_NF_TABLES; for [Trace] also NF_TABLES_INET, and NF_TABLES_BRIDGE for packets that a
// bridge forwards. The tables of iptables-legacy are read from the namespace of the calling thread.
package ruleset
