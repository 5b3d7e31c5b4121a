package live

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// BridgeNetfilter reports whether NAT may run in bridges, because br_netfilter is loaded. It ignores
// net.bridge.bridge-nf-call-iptables, which may change later. The result is false if the kernel does not
// support nftables rules for bridges, which ports with hairpin mode need. It is also false if the caller has no
// CAP_NET_ADMIN, and so cannot bring up a lab either. See BridgeNetfilter of [lab.Topology].
func (Machine) BridgeNetfilter() (bool, error) {
	if _, err := os.Stat("/proc/sys/net/bridge"); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	filters, err := filtersBridges()
	if errors.Is(err, fs.ErrPermission) && !isNetAdmin() {
		return false, nil
	}
	return filters, err
}

// filtersBridges reports whether the kernel supports nftables rules for bridges. If the machine has no such rule, it
// adds one in a new namespace. It does not let the kernel only check one (nft -c), because that waits for an RCU grace
// period, up to 20 ms.
func filtersBridges() (bool, error) {
	conn, err := nft.Dial(nil)
	if err != nil {
		return false, notUnsupported(err)
	}
	defer conn.Close()
	if has, err := conn.HasBridgeHooks(); has || err != nil {
		return has, notUnsupported(err)
	}
	ns, err := nsfs.New()
	if errors.Is(err, fs.ErrPermission) && !hasCapability(unix.CAP_SYS_ADMIN) { // it cannot make hosts either
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer ns.Close()
	err = (&scratchNetns{ns: ns}).tryRule(nft.Hairpin{Port: "lo"})
	return err == nil, notUnsupported(err)
}

// notUnsupported returns an error, unless it says that the kernel does not support what was asked for.
func notUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// isNetAdmin reports whether the caller has CAP_NET_ADMIN in the user namespace that owns the network namespace; see
// capabilities(7) and ioctl_nsfs(2).
func isNetAdmin() bool {
	if !hasCapability(unix.CAP_NET_ADMIN) {
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

// hasCapability reports whether the caller has a capability in its user namespace. The number is less than 32.
func hasCapability(number uint) bool {
	var data [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	return err == nil && data[0].Effective>>number&1 == 1
}
