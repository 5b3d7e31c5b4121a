package show

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// tunOption adds an option of a tun or tap device. The numbers of queues are printed if there can be several.
func tunOption(m *members, name string, n uint64, options rtnl.Options) {
	switch name {
	case "type":
		kind := map[uint64]string{unix.IFF_TUN: "tun", unix.IFF_TAP: "tap"}[n]
		if kind == "" {
			kind = fmt.Sprintf("UNKNOWN:%d", n)
		}
		m.add(name, kind, "type %s ")
	case "pi", "vnet_hdr", "persist":
		m.put(name, n != 0, name+" "+map[bool]string{false: "off", true: "on"}[n != 0]+" ")
	case "multi_queue":
		text := ""
		if n != 0 {
			text = "multi_queue "
		}
		m.put(name, n != 0, text)
	case "numqueues", "numdisabled":
		if options["multi_queue"] == uint64(1) {
			m.add(name, n, name+" %d ")
		}
	default:
		m.add(name, n, name+" %d ")
	}
}
