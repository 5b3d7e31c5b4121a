// Package linux has names and numbers of the kernel that several packages use.
package linux

import (
	"fmt"
	"net/netip"
	"strings"
)

// Defaults of links and routes.
const (
	DefaultMTU = 1500 // of a link that sets none, in bytes
	MainTable  = 254  // RT_TABLE_MAIN
	LocalTable = 255  // RT_TABLE_LOCAL
	Metric6    = 1024 // of an IPv6 route that sets none: IP6_RT_PRIO_USER

	// VXLANPort is the UDP port of VXLAN that IANA assigned. The kernel's default is an older one.
	VXLANPort = 4789
)

// Optional features of the kernel. Each type of link is a feature too.
const (
	FeatureVLANFiltering = "bridge VLAN filtering"
	FeatureNetem         = "netem"
	FeatureEthtool       = "ethtool netlink"
	FeatureFlowtable     = "flowtables"
	FeatureBridgeFilter  = "nftables for bridges"
)

// States of a bridge port in the spanning tree; BR_STATE_* of <linux/if_bridge.h>. A port that
// listens or learns does not forward yet.
const (
	PortDisabled  uint64 = 0
	PortListening uint64 = 1
	PortLearning  uint64 = 2
)

// The settings that turn forwarding on, for all links of a namespace.
const (
	ForwardingIPv4 = "net.ipv4.ip_forward"
	ForwardingIPv6 = "net.ipv6.conf.all.forwarding"
)

// ReservedPorts is the sysctl of ports that the kernel gives to no program that asks for any port: a list of ranges.
const ReservedPorts = "net.ipv4.ip_local_reserved_ports"

// MaxFastpaths is how many fast paths a namespace can have. It is the limit of package nft: the
// kernel lists a flowtable in one message.
const MaxFastpaths = 1500

// LinkSysctl returns the name of a sysctl of a link. family is ipv4 or ipv6.
func LinkSysctl(family, link, key string) string {
	return fmt.Sprintf("net.%s.conf.%s.%s", family, strings.ReplaceAll(link, ".", "/"), key)
}

// ListenOverlaps reports whether one packet can match both listen addresses.
// An invalid address matches any.
func ListenOverlaps(a, b netip.Addr) bool {
	return a == b || !a.IsValid() || !b.IsValid() || a.IsUnspecified() || b.IsUnspecified()
}
