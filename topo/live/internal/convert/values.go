package convert

import (
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// LLAddr returns a MAC address as rtnl has it; "" if it is zero.
func LLAddr(m topo.MAC) rtnl.LLAddr {
	if m.IsZero() {
		return ""
	}
	return rtnl.LLAddr(m[:])
}

// RouteTypes are the numbers of the types of routes; "" is unicast.
var RouteTypes = map[string]uint8{
	"": unix.RTN_UNICAST, "unicast": unix.RTN_UNICAST, "blackhole": unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT,
}
