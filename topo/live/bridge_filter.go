package live

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// BridgeNetfilter reports whether NAT may run in bridges: br_netfilter is loaded. It does not matter
// whether net.bridge.bridge-nf-call-iptables is on: it may change later. The result is false if the
// kernel has no rules about bridges, which ports with hairpin mode need; also if the caller has no
// CAP_NET_ADMIN, and so cannot bring up a lab either. It is the value of BridgeNetfilter of [lab.Topology].
func (Machine) BridgeNetfilter() (bool, error) {
	if _, err := os.Stat("/proc/sys/net/bridge"); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	conn, err := nft.Dial(nil)
	if err == nil {
		defer conn.Close()
		var filters bool
		if filters, err = conn.FiltersBridges(); err == nil {
			return filters, nil
		}
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) && !isNetAdmin() {
		return false, nil
	}
	return false, err
}

// isNetAdmin reports whether the caller has CAP_NET_ADMIN in the user namespace that owns the network namespace; see
// capabilities(7) and ioctl_nsfs(2).
func isNetAdmin() bool {
	var data [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	if err != nil || data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return false
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return false
	}
	defer ns.Close()
	owner, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_USERNS) // EPERM if it is not the caller's or below it
	if err != nil {
		return false
	}
	unix.Close(owner)
	return true
}
