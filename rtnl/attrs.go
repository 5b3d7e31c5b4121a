package rtnl

import "golang.org/x/sys/unix"

// Names of attributes for errors, from <linux/if_link.h>, <linux/if_addr.h>,
// <linux/rtnetlink.h> and <linux/neighbour.h>.
var (
	linkAttrs = map[uint16]string{
		unix.IFLA_ADDRESS: "IFLA_ADDRESS", unix.IFLA_BROADCAST: "IFLA_BROADCAST", unix.IFLA_IFNAME: "IFLA_IFNAME",
		unix.IFLA_MTU: "IFLA_MTU", unix.IFLA_LINK: "IFLA_LINK", unix.IFLA_MASTER: "IFLA_MASTER",
		unix.IFLA_TXQLEN: "IFLA_TXQLEN", unix.IFLA_LINKINFO: "IFLA_LINKINFO", unix.IFLA_NET_NS_PID: "IFLA_NET_NS_PID",
		unix.IFLA_IFALIAS: "IFLA_IFALIAS", unix.IFLA_AF_SPEC: "IFLA_AF_SPEC", unix.IFLA_GROUP: "IFLA_GROUP",
		unix.IFLA_NET_NS_FD: "IFLA_NET_NS_FD", unix.IFLA_CARRIER: "IFLA_CARRIER", unix.IFLA_PROP_LIST: "IFLA_PROP_LIST",
		unix.IFLA_ALT_IFNAME: "IFLA_ALT_IFNAME", unix.IFLA_TARGET_NETNSID: "IFLA_TARGET_NETNSID",
	}
	addrAttrs = map[uint16]string{
		unix.IFA_ADDRESS: "IFA_ADDRESS", unix.IFA_LOCAL: "IFA_LOCAL", unix.IFA_LABEL: "IFA_LABEL",
		unix.IFA_BROADCAST: "IFA_BROADCAST", unix.IFA_CACHEINFO: "IFA_CACHEINFO", unix.IFA_FLAGS: "IFA_FLAGS",
		unix.IFA_RT_PRIORITY: "IFA_RT_PRIORITY",
	}
	routeAttrs = map[uint16]string{
		unix.RTA_DST: "RTA_DST", unix.RTA_SRC: "RTA_SRC", unix.RTA_IIF: "RTA_IIF", unix.RTA_OIF: "RTA_OIF",
		unix.RTA_GATEWAY: "RTA_GATEWAY", unix.RTA_PRIORITY: "RTA_PRIORITY", unix.RTA_PREFSRC: "RTA_PREFSRC",
		unix.RTA_METRICS: "RTA_METRICS", unix.RTA_MULTIPATH: "RTA_MULTIPATH", unix.RTA_TABLE: "RTA_TABLE",
		unix.RTA_VIA: "RTA_VIA", rtaNextHop: "RTA_NH_ID", unix.RTA_PREF: "RTA_PREF",
		unix.RTA_ENCAP: "RTA_ENCAP", unix.RTA_ENCAP_TYPE: "RTA_ENCAP_TYPE", unix.RTA_FLOW: "RTA_FLOW",
	}
	neighAttrs = map[uint16]string{
		unix.NDA_DST: "NDA_DST", unix.NDA_LLADDR: "NDA_LLADDR", unix.NDA_PROBES: "NDA_PROBES",
		unix.NDA_VLAN: "NDA_VLAN", unix.NDA_IFINDEX: "NDA_IFINDEX", unix.NDA_MASTER: "NDA_MASTER",
		ndaProtocol: "NDA_PROTOCOL", ndaFlagsExt: "NDA_FLAGS_EXT",
	}
)
