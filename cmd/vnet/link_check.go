package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/rtnl"
)

// checkExisting checks a change of a link that exists. The kernel takes the first bytes of a link-layer address that is
// too long.
func (s *session) checkExisting(c *words.LinkChange) (err error) {
	if c.Dev == "" {
		return nil
	}
	if strings.Contains(c.Dev, ":") { // an old alias name, which the kernel does not find
		if c.DevIndex, err = s.linkIndex(c.Dev); err != nil {
			return err
		}
	}
	if c.Config.Address == "" {
		return nil
	}
	l, err := s.linkNamed(c.Dev)
	if err == nil && len(l.Address) != len(c.Config.Address) {
		return exit(exitFailed, fmt.Errorf("the link-layer address of %s has %d bytes, not %d", c.Dev, len(l.Address),
			len(c.Config.Address)))
	}
	return nil // the change reports a link that does not exist
}

// vxlanFamily gives a VXLAN without addresses the family of -family, as ip(8) does.
func (s *session) vxlanFamily(c *words.LinkChange) {
	o := c.Config.Kind.Options
	if c.Type != "vxlan" || o == nil || o["remote"] != nil || o["local"] != nil {
		return
	}
	switch s.Family {
	case unix.AF_INET:
		o["remote"] = netip.IPv4Unspecified()
	case unix.AF_INET6:
		o["remote"] = netip.IPv6Unspecified()
	}
}

// explain adds a hint to errors of the kernel that have no message, or an unclear one.
func (s *session) explain(c words.LinkChange, err error) error {
	var e *rtnl.Error
	if errors.As(err, &e) && errors.Is(err, unix.EOPNOTSUPP) && c.Dev == c.Config.Name &&
		len(c.Config.Kind.Options) == 0 && (e.Message == "" || strings.HasPrefix(e.Message, "Unknown device type")) {
		return &hinted{err, kindHint(c.Type)}
	}
	return err
}

func (s *session) linkNamed(name string) (rtnl.Link, error) {
	c, err := s.rtnl()
	if err != nil {
		return rtnl.Link{}, err
	}
	return c.Link(rtnl.LinkID{Name: name})
}

// kindHint returns the hint for a kind of link that the kernel does not know.
func kindHint(kind string) string {
	if slices.Contains(linkKinds, kind) {
		return "this kernel has no " + kind + ", or its module cannot be loaded in this namespace"
	}
	return words.Unknown("", kind, linkKinds).Hint
}
