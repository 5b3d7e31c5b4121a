package rtnl

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// layouts describes the structures in messages. A digit is the size of a number in native
// byte order. + stands for attributes up to the end, * for a list of structures up to the
// end, and . for bytes: a string, or numbers in network byte order. Attributes that are not
// listed are bytes. The key of an attribute is the path of attribute numbers to it.
var layouts = map[string]string{
	"link":        "112444+",                                 // struct ifinfomsg of <linux/rtnetlink.h>
	"link/4":      "4",                                       // IFLA_MTU
	"link/5":      "4",                                       // IFLA_LINK
	"link/10":     "4",                                       // IFLA_MASTER
	"link/13":     "4",                                       // IFLA_TXQLEN
	"link/18":     "+",                                       // IFLA_LINKINFO
	"link/18/2":   "+",                                       // IFLA_INFO_DATA: see bySize
	"link/18/2/1": "112444+",                                 // VETH_INFO_PEER
	"link/26":     "+",                                       // IFLA_AF_SPEC
	"link/26/0":   "22",                                      // IFLA_BRIDGE_FLAGS
	"link/26/2":   "22",                                      // IFLA_BRIDGE_VLAN_INFO
	"link/26/10":  "+",                                       // of AF_INET6
	"link/27":     "4",                                       // IFLA_GROUP
	"link/52":     "+",                                       // IFLA_PROP_LIST
	"addr":        "11114+",                                  // struct ifaddrmsg of <linux/if_addr.h>
	"addr/6":      "4444",                                    // IFA_CACHEINFO
	"addr/8":      "4",                                       // IFA_FLAGS
	"addr/9":      "4",                                       // IFA_RT_PRIORITY
	"neigh":       "1124211+",                                // struct ndmsg of <linux/neighbour.h>
	"route":       "111111114+",                              // struct rtmsg of <linux/rtnetlink.h>
	"route/3":     "4",                                       // RTA_IIF
	"route/4":     "4",                                       // RTA_OIF
	"route/6":     "4",                                       // RTA_PRIORITY
	"route/8":     "+",                                       // RTA_METRICS: see bySize
	"route/8/16":  ".",                                       // RTAX_CC_ALGO
	"route/9":     "*2114+",                                  // RTA_MULTIPATH: struct rtnexthop
	"route/11":    "4",                                       // RTA_FLOW
	"route/15":    "4",                                       // RTA_TABLE
	"route/16":    "4",                                       // RTA_MARK
	"route/18":    "2",                                       // RTA_VIA: a family, an address
	"route/23":    "4",                                       // RTA_EXPIRES
	"route/25":    "4",                                       // RTA_UID
	"route/30":    "4",                                       // RTA_NH_ID
	"qdisc":       "1124444+",                                // struct tcmsg of <linux/rtnetlink.h>
	"qdisc/2":     "444444+",                                 // TCA_OPTIONS: struct tc_netem_qopt
	"qdisc/2/6":   "4444",                                    // TCA_NETEM_RATE
	"qdisc/2/8":   "8", "qdisc/2/10": "8", "qdisc/2/11": "8", // TCA_NETEM_RATE64, _LATENCY64, _JITTER64
}

// bySize are attributes whose nested attributes are numbers if they have the size of one.
var bySize = []string{"link/18/2", "route/8"}

// inside maps attributes to the object whose attributes they contain.
var inside = map[string]string{"link/18/2/1": "link", "route/9": "route"}

// littleEndian reports whether this machine is little-endian.
func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// native converts a message that was captured on a little-endian machine to native byte
// order.
func native(t *testing.T, captured string) []byte {
	t.Helper()
	b, err := hex.DecodeString(captured)
	if err != nil {
		t.Fatal(err)
	}
	if littleEndian() {
		return b
	}
	// Each kind of object has four message types, from RTM_NEWLINK on.
	kinds := map[uint16]string{0: "link", 1: "addr", 2: "route", 3: "neigh", 5: "qdisc", 23: "link"}
	kind := kinds[(binary.LittleEndian.Uint16(b[4:])-unix.RTM_BASE)/4]
	swapFields(b[:unix.NLMSG_HDRLEN], "42244", "")
	swapFields(b[unix.NLMSG_HDRLEN:], layouts[kind], kind)
	return b
}

// nativeBody is like native for a message without its header. The result is hexadecimal.
func nativeBody(t *testing.T, kind, captured string) string {
	t.Helper()
	b, err := hex.DecodeString(captured)
	if err != nil {
		t.Fatal(err)
	}
	if !littleEndian() {
		swapFields(b, layouts[kind], kind)
	}
	return hex.EncodeToString(b)
}

// swapFields reverses the byte order of the numbers in a structure. It stops at the end of b.
func swapFields(b []byte, layout, kind string) {
	for i, field := range layout {
		switch field {
		case '*':
			for len(b) > 0 {
				n := binary.LittleEndian.Uint16(b)
				swapFields(b[:n], layout[i+1:], kind)
				b = b[n:]
			}
			return
		case '+':
			swapAttributes(b, kind)
			return
		case '.':
			return
		}
		n := int(field - '0')
		if len(b) < n {
			return
		}
		slices.Reverse(b[:n])
		b = b[n:]
	}
}

func swapAttributes(b []byte, kind string) {
	for len(b) >= unix.SizeofNlAttr {
		n := binary.LittleEndian.Uint16(b)
		typ := binary.LittleEndian.Uint16(b[2:]) & nlaTypeMask
		swapFields(b, "22", "")
		path := fmt.Sprintf("%s/%d", kind, typ)
		data := b[unix.SizeofNlAttr:n]
		layout := layouts[path]
		if size := len(data); layout != "." && slices.Contains(bySize, kind) && (size == 2 || size == 4 || size == 8) {
			layout = strconv.Itoa(size)
		}
		if same, ok := inside[path]; ok {
			path = same
		}
		swapFields(data, layout, path)
		b = b[min(len(b), int(n+3)&^3):]
	}
}
