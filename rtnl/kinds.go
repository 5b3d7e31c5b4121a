package rtnl

import "golang.org/x/sys/unix"

// vethInfoPeer is VETH_INFO_PEER of <linux/veth.h>.
const vethInfoPeer = 1

// Attributes that x/sys/unix does not have yet, of <linux/if_link.h>.
const (
	iflaNetnsImmutable = 67
	vxlanReservedBits  = 33
	vxlanMcRoute       = 34
)

// kindOptions are the options that each kind of link has, and each kind of port,
// in the order in which ip-link(8) prints them. From <linux/if_link.h>; times of
// bridges are in hundredths of a second.
var kindOptions = map[string][]Option{
	"bridge": {
		{Name: "forward_delay", Attr: unix.IFLA_BR_FORWARD_DELAY, Type: U32},
		{Name: "hello_time", Attr: unix.IFLA_BR_HELLO_TIME, Type: U32},
		{Name: "max_age", Attr: unix.IFLA_BR_MAX_AGE, Type: U32},
		{Name: "ageing_time", Attr: unix.IFLA_BR_AGEING_TIME, Type: U32},
		{Name: "stp_state", Attr: unix.IFLA_BR_STP_STATE, Type: U32},
		{Name: "priority", Attr: unix.IFLA_BR_PRIORITY, Type: U16},
		{Name: "vlan_filtering", Attr: unix.IFLA_BR_VLAN_FILTERING, Type: U8},
		{Name: "vlan_protocol", Attr: unix.IFLA_BR_VLAN_PROTOCOL, Type: BE16},
		{Name: "bridge_id", Attr: unix.IFLA_BR_BRIDGE_ID, Type: BE64, ReadOnly: true},
		{Name: "root_id", Attr: unix.IFLA_BR_ROOT_ID, Type: BE64, ReadOnly: true},
		{Name: "root_port", Attr: unix.IFLA_BR_ROOT_PORT, Type: U16, ReadOnly: true},
		{Name: "root_path_cost", Attr: unix.IFLA_BR_ROOT_PATH_COST, Type: U32, ReadOnly: true},
		{Name: "topology_change", Attr: unix.IFLA_BR_TOPOLOGY_CHANGE, Type: U8, ReadOnly: true},
		{Name: "topology_change_detected", Attr: unix.IFLA_BR_TOPOLOGY_CHANGE_DETECTED, Type: U8, ReadOnly: true},
		{Name: "hello_timer", Attr: unix.IFLA_BR_HELLO_TIMER, Type: U64, ReadOnly: true},
		{Name: "tcn_timer", Attr: unix.IFLA_BR_TCN_TIMER, Type: U64, ReadOnly: true},
		{Name: "topology_change_timer", Attr: unix.IFLA_BR_TOPOLOGY_CHANGE_TIMER, Type: U64, ReadOnly: true},
		{Name: "gc_timer", Attr: unix.IFLA_BR_GC_TIMER, Type: U64, ReadOnly: true},
		{Name: "fdb_n_learned", Attr: unix.IFLA_BR_FDB_N_LEARNED, Type: U32, ReadOnly: true},
		{Name: "fdb_max_learned", Attr: unix.IFLA_BR_FDB_MAX_LEARNED, Type: U32},
		{Name: "vlan_default_pvid", Attr: unix.IFLA_BR_VLAN_DEFAULT_PVID, Type: U16},
		{Name: "vlan_stats_enabled", Attr: unix.IFLA_BR_VLAN_STATS_ENABLED, Type: U8},
		{Name: "vlan_stats_per_port", Attr: unix.IFLA_BR_VLAN_STATS_PER_PORT, Type: U8},
		{Name: "group_fwd_mask", Attr: unix.IFLA_BR_GROUP_FWD_MASK, Type: U16},
		{Name: "group_address", Attr: unix.IFLA_BR_GROUP_ADDR, Type: LL},
		{Name: "fdb_flush", Attr: unix.IFLA_BR_FDB_FLUSH, Type: Flag},
		{Name: "mcast_snooping", Attr: unix.IFLA_BR_MCAST_SNOOPING, Type: U8},
		{Name: "boolopt", Attr: unix.IFLA_BR_MULTI_BOOLOPT, Type: Bits},
		{Name: "mcast_router", Attr: unix.IFLA_BR_MCAST_ROUTER, Type: U8},
		{Name: "mcast_query_use_ifaddr", Attr: unix.IFLA_BR_MCAST_QUERY_USE_IFADDR, Type: U8},
		{Name: "mcast_querier", Attr: unix.IFLA_BR_MCAST_QUERIER, Type: U8},
		{Name: "mcast_hash_elasticity", Attr: unix.IFLA_BR_MCAST_HASH_ELASTICITY, Type: U32},
		{Name: "mcast_hash_max", Attr: unix.IFLA_BR_MCAST_HASH_MAX, Type: U32},
		{Name: "mcast_last_member_count", Attr: unix.IFLA_BR_MCAST_LAST_MEMBER_CNT, Type: U32},
		{Name: "mcast_startup_query_count", Attr: unix.IFLA_BR_MCAST_STARTUP_QUERY_CNT, Type: U32},
		{Name: "mcast_last_member_interval", Attr: unix.IFLA_BR_MCAST_LAST_MEMBER_INTVL, Type: U64},
		{Name: "mcast_membership_interval", Attr: unix.IFLA_BR_MCAST_MEMBERSHIP_INTVL, Type: U64},
		{Name: "mcast_querier_interval", Attr: unix.IFLA_BR_MCAST_QUERIER_INTVL, Type: U64},
		{Name: "mcast_query_interval", Attr: unix.IFLA_BR_MCAST_QUERY_INTVL, Type: U64},
		{Name: "mcast_query_response_interval", Attr: unix.IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, Type: U64},
		{Name: "mcast_startup_query_interval", Attr: unix.IFLA_BR_MCAST_STARTUP_QUERY_INTVL, Type: U64},
		{Name: "mcast_stats_enabled", Attr: unix.IFLA_BR_MCAST_STATS_ENABLED, Type: U8},
		{Name: "mcast_igmp_version", Attr: unix.IFLA_BR_MCAST_IGMP_VERSION, Type: U8},
		{Name: "mcast_mld_version", Attr: unix.IFLA_BR_MCAST_MLD_VERSION, Type: U8},
		{Name: "nf_call_iptables", Attr: unix.IFLA_BR_NF_CALL_IPTABLES, Type: U8},
		{Name: "nf_call_ip6tables", Attr: unix.IFLA_BR_NF_CALL_IP6TABLES, Type: U8},
		{Name: "nf_call_arptables", Attr: unix.IFLA_BR_NF_CALL_ARPTABLES, Type: U8},
	},
	"bridge_slave": {
		{Name: "state", Attr: unix.IFLA_BRPORT_STATE, Type: U8},
		{Name: "priority", Attr: unix.IFLA_BRPORT_PRIORITY, Type: U16},
		{Name: "cost", Attr: unix.IFLA_BRPORT_COST, Type: U32},
		{Name: "hairpin", Attr: unix.IFLA_BRPORT_MODE, Type: U8},
		{Name: "guard", Attr: unix.IFLA_BRPORT_GUARD, Type: U8},
		{Name: "root_block", Attr: unix.IFLA_BRPORT_PROTECT, Type: U8},
		{Name: "fastleave", Attr: unix.IFLA_BRPORT_FAST_LEAVE, Type: U8},
		{Name: "learning", Attr: unix.IFLA_BRPORT_LEARNING, Type: U8},
		{Name: "flood", Attr: unix.IFLA_BRPORT_UNICAST_FLOOD, Type: U8},
		{Name: "id", Attr: unix.IFLA_BRPORT_ID, Type: U16, ReadOnly: true},
		{Name: "no", Attr: unix.IFLA_BRPORT_NO, Type: U16, ReadOnly: true},
		{Name: "designated_port", Attr: unix.IFLA_BRPORT_DESIGNATED_PORT, Type: U16, ReadOnly: true},
		{Name: "designated_cost", Attr: unix.IFLA_BRPORT_DESIGNATED_COST, Type: U16, ReadOnly: true},
		{Name: "bridge_id", Attr: unix.IFLA_BRPORT_BRIDGE_ID, Type: BE64, ReadOnly: true},
		{Name: "root_id", Attr: unix.IFLA_BRPORT_ROOT_ID, Type: BE64, ReadOnly: true},
		{Name: "hold_timer", Attr: unix.IFLA_BRPORT_HOLD_TIMER, Type: U64, ReadOnly: true},
		{Name: "message_age_timer", Attr: unix.IFLA_BRPORT_MESSAGE_AGE_TIMER, Type: U64, ReadOnly: true},
		{Name: "forward_delay_timer", Attr: unix.IFLA_BRPORT_FORWARD_DELAY_TIMER, Type: U64, ReadOnly: true},
		{Name: "topology_change_ack", Attr: unix.IFLA_BRPORT_TOPOLOGY_CHANGE_ACK, Type: U8, ReadOnly: true},
		{Name: "config_pending", Attr: unix.IFLA_BRPORT_CONFIG_PENDING, Type: U8, ReadOnly: true},
		{Name: "fdb_flush", Attr: unix.IFLA_BRPORT_FLUSH, Type: Flag},
		{Name: "proxy_arp", Attr: unix.IFLA_BRPORT_PROXYARP, Type: U8},
		{Name: "proxy_arp_wifi", Attr: unix.IFLA_BRPORT_PROXYARP_WIFI, Type: U8},
		{Name: "mcast_router", Attr: unix.IFLA_BRPORT_MULTICAST_ROUTER, Type: U8},
		{Name: "mcast_flood", Attr: unix.IFLA_BRPORT_MCAST_FLOOD, Type: U8},
		{Name: "bcast_flood", Attr: unix.IFLA_BRPORT_BCAST_FLOOD, Type: U8},
		{Name: "mcast_to_unicast", Attr: unix.IFLA_BRPORT_MCAST_TO_UCAST, Type: U8},
		{Name: "neigh_suppress", Attr: unix.IFLA_BRPORT_NEIGH_SUPPRESS, Type: U8},
		{Name: "neigh_vlan_suppress", Attr: unix.IFLA_BRPORT_NEIGH_VLAN_SUPPRESS, Type: U8},
		{Name: "group_fwd_mask", Attr: unix.IFLA_BRPORT_GROUP_FWD_MASK, Type: U16},
		{Name: "vlan_tunnel", Attr: unix.IFLA_BRPORT_VLAN_TUNNEL, Type: U8},
		{Name: "isolated", Attr: unix.IFLA_BRPORT_ISOLATED, Type: U8},
		{Name: "locked", Attr: unix.IFLA_BRPORT_LOCKED, Type: U8},
		{Name: "mab", Attr: unix.IFLA_BRPORT_MAB, Type: U8},
		{Name: "backup_port", Attr: unix.IFLA_BRPORT_BACKUP_PORT, Type: U32},
	},
	"vlan": {
		{Name: "protocol", Attr: unix.IFLA_VLAN_PROTOCOL, Type: BE16},
		{Name: "id", Attr: unix.IFLA_VLAN_ID, Type: U16},
		{Name: "flags", Attr: unix.IFLA_VLAN_FLAGS, Type: Bits},
	},
	"vxlan": {
		{Name: "id", Attr: unix.IFLA_VXLAN_ID, Type: U32},
		{Name: "remote", Attr: unix.IFLA_VXLAN_GROUP, Type: IPAddr}, // a group, if it is multicast
		{Name: "local", Attr: unix.IFLA_VXLAN_LOCAL, Type: IPAddr},
		{Name: "link", Attr: unix.IFLA_VXLAN_LINK, Type: U32},
		{Name: "srcport", Attr: unix.IFLA_VXLAN_PORT_RANGE, Type: PortRange},
		{Name: "dstport", Attr: unix.IFLA_VXLAN_PORT, Type: BE16},
		{Name: "tos", Attr: unix.IFLA_VXLAN_TOS, Type: U8},
		{Name: "ttl_inherit", Attr: unix.IFLA_VXLAN_TTL_INHERIT, Type: Flag},
		{Name: "ttl", Attr: unix.IFLA_VXLAN_TTL, Type: U8},
		{Name: "df", Attr: unix.IFLA_VXLAN_DF, Type: U8},
		{Name: "flowlabel", Attr: unix.IFLA_VXLAN_LABEL, Type: BE32},
		{Name: "ageing", Attr: unix.IFLA_VXLAN_AGEING, Type: U32},
		{Name: "maxaddr", Attr: unix.IFLA_VXLAN_LIMIT, Type: U32},
		{Name: "reserved_bits", Attr: vxlanReservedBits, Type: BE64},
		{Name: "gbp", Attr: unix.IFLA_VXLAN_GBP, Type: Flag},
		{Name: "gpe", Attr: unix.IFLA_VXLAN_GPE, Type: Flag},
		{Name: "external", Attr: unix.IFLA_VXLAN_COLLECT_METADATA, Type: U8},
		{Name: "vnifilter", Attr: unix.IFLA_VXLAN_VNIFILTER, Type: U8},
		{Name: "learning", Attr: unix.IFLA_VXLAN_LEARNING, Type: U8},
		{Name: "proxy", Attr: unix.IFLA_VXLAN_PROXY, Type: U8},
		{Name: "rsc", Attr: unix.IFLA_VXLAN_RSC, Type: U8},
		{Name: "l2miss", Attr: unix.IFLA_VXLAN_L2MISS, Type: U8},
		{Name: "l3miss", Attr: unix.IFLA_VXLAN_L3MISS, Type: U8},
		{Name: "udpcsum", Attr: unix.IFLA_VXLAN_UDP_CSUM, Type: U8},
		{Name: "udp6zerocsumtx", Attr: unix.IFLA_VXLAN_UDP_ZERO_CSUM6_TX, Type: U8},
		{Name: "udp6zerocsumrx", Attr: unix.IFLA_VXLAN_UDP_ZERO_CSUM6_RX, Type: U8},
		{Name: "remcsumtx", Attr: unix.IFLA_VXLAN_REMCSUM_TX, Type: U8},
		{Name: "remcsumrx", Attr: unix.IFLA_VXLAN_REMCSUM_RX, Type: U8},
		{Name: "localbypass", Attr: unix.IFLA_VXLAN_LOCALBYPASS, Type: U8},
		{Name: "mcroute", Attr: vxlanMcRoute, Type: U8},
	},
	"macvlan": macvlanOptions,
	"macvtap": macvlanOptions,
	"ipvlan":  ipvlanOptions,
	"ipvtap":  ipvlanOptions,
	"vrf":     {{Name: "table", Attr: unix.IFLA_VRF_TABLE, Type: U32}},
	"vrf_slave": {
		{Name: "table", Attr: 1, Type: U32, ReadOnly: true}, // IFLA_VRF_PORT_TABLE
	},
}

var (
	macvlanOptions = []Option{
		{Name: "mode", Attr: unix.IFLA_MACVLAN_MODE, Type: U32},
		{Name: "flags", Attr: unix.IFLA_MACVLAN_FLAGS, Type: U16},
		{Name: "bcqueuelen", Attr: unix.IFLA_MACVLAN_BC_QUEUE_LEN, Type: U32},
		{Name: "usedbcqueuelen", Attr: unix.IFLA_MACVLAN_BC_QUEUE_LEN_USED, Type: U32, ReadOnly: true},
	}
	ipvlanOptions = []Option{
		{Name: "mode", Attr: unix.IFLA_IPVLAN_MODE, Type: U16},
		{Name: "flags", Attr: unix.IFLA_IPVLAN_FLAGS, Type: U16},
	}
)
