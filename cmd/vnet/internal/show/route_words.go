package show

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// routeTypes are the names of the RTN_ constants of <linux/rtnetlink.h>.
var routeTypes = [...]string{
	"none", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole",
	"unreachable", "prohibit", "throw", "nat", "xresolve",
}

// routeType returns the name of a route's type.
func (s Style) routeType(typ uint8) string {
	if int(typ) < len(routeTypes) && !s.Numeric {
		return routeTypes[typ]
	}
	return strconv.Itoa(int(typ))
}

// A flagName is the name of a bit.
type flagName struct {
	bit  uint32
	name string
}

// routeFlags are the names of RTNH_F_ and RTM_F_ flags of <linux/rtnetlink.h>, in ip(8)'s order.
var routeFlags = []flagName{
	{unix.RTNH_F_DEAD, "dead"}, {unix.RTNH_F_ONLINK, "onlink"}, {unix.RTNH_F_PERVASIVE, "pervasive"},
	{unix.RTNH_F_OFFLOAD, "offload"}, {unix.RTNH_F_TRAP, "trap"}, {unix.RTM_F_NOTIFY, "notify"},
	{unix.RTNH_F_LINKDOWN, "linkdown"}, {unix.RTNH_F_UNRESOLVED, "unresolved"}, {unix.RTM_F_OFFLOAD, "rt_offload"},
	{unix.RTM_F_TRAP, "rt_trap"}, {unix.RTM_F_OFFLOAD_FAILED, "rt_offload_failed"},
}

func addRouteFlags(m *members, flags uint32) {
	set, text := []string{}, ""
	for _, f := range routeFlags {
		if flags&f.bit != 0 {
			set = append(set, f.name)
			text += f.name + " "
		}
	}
	m.put("flags", set, text)
}

// cacheFlags are the names of RTCF_ flags of <linux/in_route.h>, in ip(8)'s order.
var cacheFlags = []flagName{
	{0x80000000, "local"}, {0x40000000, "reject"}, {0x20000000, "mc"}, {0x10000000, "brd"}, {0x08000000, "dst-nat"},
	{0x00800000, "src-nat"}, {0x00400000, "masq"}, {0x00020000, "dst-direct"}, {0x04000000, "src-direct"},
	{0x00040000, "redirected"}, {0x01000000, "redirect"}, {0x00200000, "fastroute"}, {0x00010000, "notify"},
	{0x00100000, "proxy"},
}

// addCacheFlags adds the flags of a cached route on a separate line.
func addCacheFlags(m *members, flags uint32, lineBreak string) {
	flags &^= 0xffff
	set, text := []string{}, ""
	if flags != 0 {
		text = "<"
	}
	for _, f := range cacheFlags {
		if flags&f.bit == 0 {
			continue
		}
		flags &^= f.bit
		set = append(set, f.name)
		if text += f.name + ","; flags == 0 {
			text = strings.TrimSuffix(text, ",") + "> "
		}
	}
	if flags != 0 {
		text += fmt.Sprintf("%x>", flags)
	}
	m.put("cache", set, lineBreak+"    cache "+text)
}

// ticks is the kernel's USER_HZ: ticks per second.
const ticks = 100

func addCache(m *members, c rtnl.RouteCache, stats bool) {
	if c.Expires != 0 {
		m.add("expires", c.Expires/ticks, "expires %dsec ")
	}
	if c.Error != 0 {
		m.add("error", c.Error, "error %d ")
	}
	if stats {
		if c.References != 0 {
			m.add("users", c.References, "users %d ")
		}
		if c.Used != 0 {
			m.add("used", c.Used, "used %d ")
		}
		if c.LastUse != 0 {
			m.add("age", c.LastUse/ticks, "age %dsec ")
		}
	}
}

// routeMetrics are the names of the RTAX_ metrics of <linux/rtnetlink.h>.
var routeMetrics = [unix.RTAX_MAX + 1]string{
	unix.RTAX_MTU: "mtu", unix.RTAX_WINDOW: "window", unix.RTAX_RTT: "rtt", unix.RTAX_RTTVAR: "rttvar",
	unix.RTAX_SSTHRESH: "ssthresh", unix.RTAX_CWND: "cwnd", unix.RTAX_ADVMSS: "advmss",
	unix.RTAX_REORDERING: "reordering", unix.RTAX_HOPLIMIT: "hoplimit", unix.RTAX_INITCWND: "initcwnd",
	unix.RTAX_FEATURES: "features", unix.RTAX_RTO_MIN: "rto_min", unix.RTAX_INITRWND: "initrwnd",
	unix.RTAX_QUICKACK: "quickack", unix.RTAX_CC_ALGO: "congctl", unix.RTAX_FASTOPEN_NO_COOKIE: "fastopen_no_cookie",
}

// addRouteMetrics adds the metrics. In JSON they are a list of one object.
func addRouteMetrics(m *members, x rtnl.Metrics) {
	if x == (rtnl.Metrics{}) {
		return
	}
	var all members
	locked := x.Values[unix.RTAX_LOCK]
	for i := unix.RTAX_MTU; i <= unix.RTAX_MAX; i++ {
		value, lock := x.Values[i], locked&(1<<i) != 0
		isSet := value != 0 || i == unix.RTAX_CC_ALGO && x.Congestion != ""
		if !isSet && !lock || i == unix.RTAX_HOPLIMIT && value == 1<<32-1 {
			continue
		}
		text := routeMetrics[i] + " "
		if lock {
			text += "lock "
		}
		all = append(all, member{text: text})
		addRouteMetric(&all, i, value, x.Congestion)
	}
	m.put("metrics", []members{all}, all.text())
}

func addRouteMetric(all *members, i int, value uint32, congestion string) {
	switch i {
	case unix.RTAX_CC_ALGO:
		all.add("congestion", congestion, "%s ")
	case unix.RTAX_FEATURES:
		addFeatures(all, value)
	case unix.RTAX_RTT:
		addMillis(all, "rtt", value/8)
	case unix.RTAX_RTTVAR:
		addMillis(all, "rttvar", value/4)
	case unix.RTAX_RTO_MIN:
		addMillis(all, "rto_min", value)
	default:
		all.add(routeMetrics[i], value, "%d ")
	}
}

func addMillis(all *members, name string, ms uint32) {
	text := fmt.Sprintf("%dms ", ms)
	if ms >= 1000 {
		// six digits, as printf(3)'s %g
		text = strconv.FormatFloat(float64(ms)/1e3, 'g', 6, 64) + "s "
	}
	all.put(name, ms, text)
}

func addFeatures(all *members, features uint32) {
	left := features
	for _, f := range []flagName{{unix.RTAX_FEATURE_ECN, "ecn"}, {unix.RTAX_FEATURE_TCP_USEC_TS, "tcp_usec_ts"}} {
		if left&f.bit != 0 {
			left &^= f.bit
			all.put(f.name, nil, f.name+" ")
		}
	}
	if left != 0 {
		hex := fmt.Sprintf("%#x", features)
		all.put("features", hex, hex+" ")
	}
}

// routePrefs are the router preferences of RFC 4191.
var routePrefs = map[uint8]string{0: "medium", 1: "high", 3: "low"}

// addRoutePref adds the preference, without a blank at the end, as in ip(8).
func addRoutePref(m *members, pref uint8) {
	if name, ok := routePrefs[pref]; ok {
		m.add("pref", name, "pref %s")
		return
	}
	m.add("pref", pref, "%d")
}

// encapTypes are the names of the LWTUNNEL_ENCAP_ constants of <linux/lwtunnel.h>.
var encapTypes = [...]string{"none", "mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm"}

// addEncap adds a tunnel: MPLS labels as text, others as the kernel's bytes in hexadecimal.
func addEncap(m *members, e rtnl.Encap) {
	if e.Type == 0 {
		return
	}
	name := "unknown"
	if int(e.Type) < len(encapTypes) {
		name = encapTypes[e.Type]
	}
	m.add("encap", name, " encap %s ")
	if name == "mpls" {
		addMPLS(m, e.Data)
	} else {
		m.add("data", hex.EncodeToString([]byte(e.Data)), "%s ")
	}
}

// addMPLS decodes the MPLS_IPTUNNEL_ attributes of <linux/mpls_iptunnel.h>.
func addMPLS(m *members, data string) {
	attrs, err := netlink.UnmarshalAttributes([]byte(data))
	if err != nil {
		return
	}
	for _, a := range attrs {
		switch {
		case a.Type == unix.MPLS_IPTUNNEL_DST:
			m.add("dst", mplsLabels(a.Data), " %s ")
		case a.Type == unix.MPLS_IPTUNNEL_TTL && len(a.Data) == 1:
			m.add("ttl", a.Data[0], "ttl %d ")
		}
	}
}

// mplsLabels decodes a label stack: the upper 20 bits of each 32-bit entry; RFC 3032.
func mplsLabels(b []byte) string {
	var labels []string
	for ; len(b) >= 4; b = b[4:] {
		labels = append(labels, strconv.Itoa(int(b[0])<<12|int(b[1])<<4|int(b[2])>>4))
	}
	return strings.Join(labels, "/")
}
