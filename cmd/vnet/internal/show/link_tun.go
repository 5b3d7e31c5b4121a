package show

import (
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// tunOption adds an option of a tun or tap device. The numbers of queues are printed if there can be several.
func (s LinkStyle) tunOption(m *members, name string, n uint64, options rtnl.Options) {
	switch name {
	case "type":
		kind := "tun"
		if n == unix.IFF_TAP {
			kind = "tap"
		}
		m.put(name, kind, "type "+kind+" ")
	case "pi", "vnet_hdr", "persist":
		s.onOff(m, name, name, n)
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
