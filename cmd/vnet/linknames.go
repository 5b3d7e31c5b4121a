package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
)

// linkIndex finds the index of a link by its name, an alternative name, its index as in if7, or an old alias name: for
// the kernel's ioctls, lo:0 is lo. "" is 0. As with ip(8), the exit code is 1 if there is none.
func (s *session) linkIndex(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	c, err := s.rtnl()
	if err != nil {
		return 0, err
	}
	l, err := c.Link(rtnl.LinkID{Name: name})
	if err == nil {
		return l.Index, nil
	}
	if n, ok := words.Number(strings.TrimPrefix(name, "if"), 1<<31-1); ok && strings.HasPrefix(name, "if") && n > 0 {
		return uint32(n), nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return 0, err
	}
	if base, _, alias := strings.Cut(name, ":"); alias && len(name) <= naming.MaxLinkName {
		if l, err := c.Link(rtnl.LinkID{Name: base}); err == nil && l.Name == base {
			return l.Index, nil
		}
	}
	return 0, s.noLink(name)
}

// noLink returns the error for a link that does not exist, with the most similar name as a hint.
func (s *session) noLink(name string) error {
	e := &words.Error{Text: fmt.Sprintf("there is no link %q", name), Status: exitFailed}
	if c, err := s.rtnl(); err == nil {
		links, _ := c.Links(rtnl.LinkFilter{NoStats: true}) // for a suggestion only
		var known []string
		for _, l := range links {
			known = append(append(known, l.Name), l.AltNames...)
		}
		e.Hint = words.Unknown("", name, known).Hint
	}
	return e
}

// linkNames reads the links and returns their names by index. A link that no longer exists gets a name like if7.
func (s *session) linkNames() (func(index uint32) string, error) {
	c, err := s.rtnl()
	if err != nil {
		return nil, err
	}
	links, err := c.Links(rtnl.LinkFilter{NoStats: true})
	if err != nil {
		return nil, err
	}
	known := map[uint32]string{0: "*"}
	for _, l := range links {
		known[l.Index] = l.Name
	}
	return func(index uint32) string {
		if name, ok := known[index]; ok {
			return name
		}
		return fmt.Sprintf("if%d", index)
	}, nil
}

// vrfTable returns the routing table of a VRF.
func (s *session) vrfTable(name string) (uint32, error) {
	c, err := s.rtnl()
	if err != nil {
		return 0, err
	}
	l, err := c.Link(rtnl.LinkID{Name: name})
	if table, ok := l.Kind.Options["table"].(uint64); err == nil && ok && l.Kind.Name == "vrf" {
		return uint32(table), nil
	}
	return 0, &words.Error{Text: fmt.Sprintf("%q is not a VRF", name), Hint: "vnet link show type vrf lists the VRFs"}
}
