package live

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A carrierWait is a link without carrier, although it and its peer are up.
type carrierWait struct {
	handle *netns.Handle
	index  uint32
}

// waitForCarrier waits for the links that had no carrier at the last Snapshot although
// they and their peers were up.
func (rd *reader) waitForCarrier(ctx context.Context) error {
	for _, w := range rd.withoutCarrier {
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	rd.withoutCarrier = nil
	return nil
}

func (w carrierWait) wait(ctx context.Context) error {
	events, err := w.handle.Watch(rtnl.GroupLink)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		l, err := w.handle.Conn.Link(rtnl.LinkID{Index: w.index})
		if err != nil || l.Flags&unix.IFF_LOWER_UP != 0 {
			return err
		}
		if _, err := events.Next(ctx); err != nil {
			return fmt.Errorf("wait for %slink %s to have carrier: %w", display.In(w.handle.Name), l.Name, err)
		}
	}
}
