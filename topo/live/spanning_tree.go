package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A spanningTree is a bridge whose kernel runs the spanning tree protocol, and its ports.
type spanningTree struct {
	handle *netns.Handle
	bridge rtnl.Link
	ports  []rtnl.Link
}

// BR_KERNEL_STP of the kernel's net/bridge/br_private.h: the kernel runs the protocol, not a daemon.
const kernelSTP = 1

// spanningTrees adds the bridges of the lab with a spanning tree.
func (r *stateBuilder) spanningTrees() {
	for _, v := range r.snapshots {
		for _, l := range v.Links {
			if !v.inLab[l.Index] || l.Kind.Name != "bridge" || convert.OptionNumber(l.Kind.Options, "stp_state") != kernelSTP {
				continue
			}
			t := spanningTree{handle: v.handle, bridge: l}
			for _, p := range v.Links {
				if p.Master == l.Index {
					t.ports = append(t.ports, p)
				}
			}
			r.trees = append(r.trees, t)
		}
	}
}

// waitForSpanningTrees waits until the ports of the lab's bridges forward, or are blocked to prevent a loop. A port
// forwards after two forward delays: 30 seconds, unless somebody changed the bridge.
func (k *Kernel) waitForSpanningTrees(ctx context.Context) error {
	for _, t := range k.trees {
		if err := t.wait(ctx, k.log.Warn); err != nil {
			return fmt.Errorf("wait for the spanning tree of %slink %s: %w", display.In(t.handle.Name), t.bridge.Name, err)
		}
	}
	return nil
}

// wait waits for each port. It calls warn if it has to wait.
func (t spanningTree) wait(ctx context.Context, warn func(message string, args ...any)) error {
	events, err := t.handle.Watch(rtnl.GroupLink)
	if err != nil {
		return err
	}
	defer events.Close()
	limit := t.limit()
	ctx, end := context.WithTimeout(ctx, limit)
	defer end()
	warnOnce := sync.OnceFunc(func() {
		warn(fmt.Sprintf("%slink %s: waiting until its ports forward (spanning tree protocol), at most %v",
			display.In(t.handle.Name), t.bridge.Name, limit))
	})
	for _, p := range t.ports {
		for {
			l, err := t.handle.Conn.Link(rtnl.LinkID{Index: p.Index})
			if err != nil {
				return err
			}
			if l.Master != t.bridge.Index || hasFinalState(l) {
				break
			}
			warnOnce()
			if _, err := events.Next(ctx); err != nil {
				return fmt.Errorf("port %s does not forward yet: %w", l.Name, err)
			}
		}
	}
	return nil
}

// hasFinalState reports whether a port forwards, is blocked, or is disabled because it is down or has no carrier.
func hasFinalState(port rtnl.Link) bool {
	switch convert.OptionNumber(port.Port, "state") {
	case linux.PortListening, linux.PortLearning:
		return false
	case linux.PortDisabled: // also for a moment after it has carrier
		return !port.Up() || port.Flags&unix.IFF_LOWER_UP == 0
	}
	return true
}

// limit is the time after which the bridge must have a spanning tree: another bridge's last message expires
// after max_age, then the port listens and learns. The last ten seconds are for slow machines.
func (t spanningTree) limit() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ
	option := func(name string) uint64 { return convert.OptionNumber(t.bridge.Kind.Options, name) }
	return time.Duration(option("max_age")+2*option("forward_delay"))*tick + 10*time.Second
}
