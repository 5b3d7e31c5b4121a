package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A carrierWait is a link without carrier, although it and its peer were up.
type carrierWait struct{ near, far carrierEnd }

// A carrierEnd is one end of a veth pair.
type carrierEnd struct {
	handle *netns.Handle
	index  uint32
}

func (e carrierEnd) link() (rtnl.Link, error) { return e.handle.Conn.Link(rtnl.LinkID{Index: e.index}) }

// carrierTime is longer than the kernel delays a change of carrier.
const carrierTime = 2 * time.Second

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

// wait ends with an error if another program sets one of the ends down: then the link gets no carrier. The kernel
// reports that in the namespace of that end only, so wait also looks when it has waited for long.
func (w carrierWait) wait(ctx context.Context) error {
	events, err := w.near.handle.Watch(rtnl.GroupLink)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		far, farErr := w.far.link()
		l, err := w.near.link()
		if err != nil || l.Flags&unix.IFF_LOWER_UP != 0 {
			return err
		}
		what := fmt.Sprintf("wait for %slink %s to have carrier", display.In(w.near.handle.Name), l.Name)
		switch {
		case farErr != nil:
			return fmt.Errorf("%s: its peer: %w", what, farErr)
		case !l.Up() || !far.Up():
			return errors.New(what + ": another program set it or its peer down")
		}
		if err := nextWithin(ctx, events, carrierTime); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// nextWithin waits for an event, but not longer than a time.
func nextWithin(ctx context.Context, events *rtnl.Watcher, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := events.Next(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil
	}
	return err
}
