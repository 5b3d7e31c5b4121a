package live

import (
	"errors"
	"io/fs"
	"os"

	"github.com/vnet-lab/vnet/nft"
)

// BridgeNetfilter reports whether NAT may run in bridges: br_netfilter is loaded. It does not matter
// whether net.bridge.bridge-nf-call-iptables is on: it may change later. The result is false if the
// kernel has no rules about bridges, which ports with hairpin mode need; also if the caller may not
// ask, and so cannot bring up a lab either. It is the value of BridgeNetfilter of [lab.Topology].
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
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	return false, err
}
