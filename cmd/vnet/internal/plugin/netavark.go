//go:build linux

package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/netavark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/member"
)

// netavark answers a call by the rules of netavark's plugins.
func (c *call) netavark(ctx context.Context, args []string) int {
	answer, err := c.asNetavark(ctx, args)
	code := 0
	if err != nil {
		answer, code = netavark.Error{Text: err.Error()}, 1
	}
	if answer == nil {
		return code
	}
	if err := c.print(answer); err != nil {
		fmt.Fprintln(c.err, "vnet: error: write the answer:", err)
		return 1
	}
	return code
}

func (c *call) asNetavark(ctx context.Context, args []string) (answer any, err error) {
	if c.refused != nil {
		return nil, c.refused
	}
	switch {
	case len(args) == 0 || args[0] == "info":
		return netavark.About(c.version), nil
	case args[0] == "create":
		text, err := c.readInput()
		if err != nil {
			return nil, err
		}
		taken, err := takenPrefixes()
		if err != nil {
			return nil, err
		}
		return netavark.Complete(text, taken)
	case len(args) != 2 || args[0] != "setup" && args[0] != "teardown":
		return nil, fmt.Errorf("expected info, create, setup NAMESPACE or teardown NAMESPACE, got %q", args)
	}
	text, err := c.readInput()
	if err != nil {
		return nil, err
	}
	container, err := netavark.Read(text)
	if err == nil && args[0] == "setup" {
		return c.setup(ctx, container, args[1])
	}
	if err == nil {
		c.teardown(ctx, container)
	}
	return nil, err
}

// setup attaches a container.
func (c *call) setup(ctx context.Context, container netavark.Container, ns string) (any, error) {
	n, err := container.Network.Network()
	if err != nil {
		return nil, err
	}
	m, err := container.Member(ns)
	if err != nil {
		return nil, err
	}
	at, err := member.Attach(ctx, n, m)
	if err != nil {
		return nil, err
	}
	return container.Status(at), nil
}

// teardown detaches a container, and removes a network without containers. It never fails: podman would leave the
// container half stopped, and not call again.
func (c *call) teardown(ctx context.Context, container netavark.Container) {
	name := container.Network.NetworkName()
	m, err := container.Member("")
	if err != nil { // setup would not have attached it
		m.Ports = nil
	}
	err = member.Detach(ctx, name, container.MemberID(), m.Ports...)
	if err == nil && !hasPorts(container.Network.Bridge) {
		if err = member.Remove(ctx, name); errors.Is(err, member.ErrMembers) {
			err = nil
		}
	}
	if err != nil {
		c.note("%v", err)
	}
}

// hasPorts reports whether a bridge has ports. Remove would find that out, too, but while it looks, nobody can attach.
func hasPorts(bridge string) bool {
	conn, err := rtnl.Dial(nil)
	if err != nil {
		return true
	}
	defer conn.Close()
	l, err := conn.Link(rtnl.LinkID{Name: bridge})
	if err != nil {
		return false
	}
	ports, err := conn.Links(rtnl.LinkFilter{Master: l.Index, NoStats: true})
	return err != nil || len(ports) > 0
}

// takenPrefixes returns a function that reports whether the machine has a route into a prefix.
func takenPrefixes() (func(netip.Prefix) bool, error) {
	conn, err := rtnl.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	routes, err := conn.Routes(rtnl.RouteFilter{Family: unix.AF_INET})
	return func(p netip.Prefix) bool {
		for _, r := range routes {
			if r.Dst.IsValid() && r.Dst.Bits() > 0 && r.Dst.Overlaps(p) {
				return true
			}
		}
		return false
	}, err
}
