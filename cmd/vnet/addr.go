package main

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/rtnl"
)

// addrObject is vnet addr.
func addrObject() *object {
	return &object{
		name: "address", short: true, usage: "IPv4 and IPv6 addresses of links", help: addrHelp,
		verbs: words.AddrVerbs(), run: (*session).addr,
	}
}

const addrHelp = `
vnet addr [show] [[dev] DEV] [SELECTION]
vnet addr { add | replace | change } ADDRESS dev DEV [OPTIONS]
vnet addr del ADDRESS dev DEV
vnet addr flush { dev DEV | SELECTION }

ADDRESS   := PREFIX | ADDR peer PREFIX
OPTIONS   := [broadcast { ADDR | + }] [label LABEL] [scope SCOPE] [metric N]
             [valid_lft { SECONDS | forever }] [preferred_lft { SECONDS | forever }]
             [nodad] [noprefixroute] [home] [mngtmpaddr] [optimistic] [proto PROTO]
SELECTION := [to PREFIX] [scope SCOPE] [label PATTERN] [up] [master DEV] [vrf NAME]
             [type KIND] [group GROUP] [[-]FLAG]
FLAG      := permanent | dynamic | primary | secondary | tentative | deprecated |
             dadfailed | temporary

   vnet addr add 192.168.15.5/24 brd + dev v-net-0
   vnet addr add fd00:15::1/64 dev v-net-0 nodad
   vnet -4 -br addr
   vnet addr flush dev v-net-0
`

// addr runs vnet addr.
func (s *session) addr(args []string) error {
	w := words.Of(args)
	switch verb := w.AddrVerb(); verb {
	case "add", "change", "replace", "delete":
		return s.addrChange(verb, w)
	case "show":
		return s.addrShow(w)
	case "flush":
		return s.addrFlush(w)
	case "help":
		return s.usage(addrHelp)
	}
	return w.Err
}

// addrRequests makes the request for each verb.
var addrRequests = map[string]func(rtnl.Addr) rtnl.Request{
	"add": rtnl.AddAddr, "change": rtnl.ChangeAddr, "replace": rtnl.ReplaceAddr, "delete": rtnl.DeleteAddr,
}

func (s *session) addrChange(verb string, w *words.Words) error {
	c := w.AddrChange(verb, s.Family)
	if w.Err != nil {
		return w.Err
	}
	if c.Help {
		return s.usage(addrHelp)
	}
	for _, note := range c.Notes {
		s.note("%s", note)
	}
	var err error
	if c.Addr.Link, err = s.linkIndex(c.Dev); err != nil {
		return err
	}
	return s.do(addrRequests[verb](c.Addr).For(fmt.Sprintf("address %v dev %s", c.Addr, c.Dev)))
}

// selectAddrs reads all links and returns the selected links with their selected addresses.
func (s *session) selectAddrs(sel words.AddrSelection) (all []rtnl.Link, chosen []show.LinkAddrs, err error) {
	all, links, err := s.selectLinks(sel.LinkSelection)
	if err != nil {
		return nil, nil, err
	}
	byLink := map[uint32][]rtnl.Addr{}
	if sel.Family != unix.AF_PACKET {
		c, err := s.rtnl()
		if err != nil {
			return nil, nil, err
		}
		addrs, err := c.Addrs(rtnl.AddrFilter{Family: uint8(sel.Family)})
		if err != nil {
			return nil, nil, err
		}
		for _, a := range addrs {
			byLink[a.Link] = append(byLink[a.Link], a)
		}
	}
	for _, l := range links {
		if sel.Family == unix.AF_INET6 {
			l = l.AsInet6()
		}
		one := show.LinkAddrs{Link: l, NoLink: sel.Family == 0 && sel.Label != ""}
		for _, a := range byLink[l.Index] {
			if sel.MatchesAddr(a, l.Name) {
				one.Addrs = append(one.Addrs, a)
			}
		}
		// A link without addresses is shown, too, unless an address family is selected.
		bare := len(byLink[l.Index]) == 0 && (sel.Family == 0 || sel.Family == unix.AF_PACKET)
		if len(one.Addrs) > 0 || bare || !sel.LimitsAddrs() {
			chosen = append(chosen, one)
		}
	}
	return all, chosen, nil
}

func (s *session) addrShow(w *words.Words) error {
	sel := w.AddrSelection(s.Family)
	if w.Err != nil {
		return w.Err
	}
	if sel.Help {
		return s.usage(addrHelp)
	}
	all, chosen, err := s.selectAddrs(sel)
	if err != nil {
		return err
	}
	style, err := s.linkStyle(all)
	if err != nil {
		return err
	}
	style.Family = sel.Family
	return show.Addrs(s.out, chosen, style)
}

// addrFlush deletes the selected addresses, until none is left: the kernel can promote a secondary address.
func (s *session) addrFlush(w *words.Words) error {
	if !w.More() {
		return exit(exitFailed, words.Errorf("what to flush? Use vnet addr flush dev LINK, or another selection"))
	}
	sel := w.AddrSelection(s.Family)
	if w.Err != nil {
		return w.Err
	}
	if sel.Help {
		return s.usage(addrHelp)
	}
	if sel.Family == unix.AF_PACKET {
		return exit(exitFailed, words.Errorf("the link-layer address of a link cannot be flushed"))
	}
	return s.flushRounds("addresses", func() (int, error) { return s.flushAddrs(sel) })
}

// flushAddrs deletes the selected addresses once and returns their number. Deleting a primary IPv4 address can also
// delete its secondary addresses, so an address that no longer exists is not an error.
func (s *session) flushAddrs(sel words.AddrSelection) (n int, err error) {
	all, chosen, err := s.selectAddrs(sel)
	if err != nil {
		return 0, err
	}
	if s.Stats > 1 {
		style, err := s.linkStyle(all)
		if err == nil {
			err = show.AddrLines(s.out, chosen, style)
		}
		if err != nil {
			return 0, err
		}
	}
	for _, l := range chosen {
		for _, a := range l.Addrs {
			n++
			if err := s.do(rtnl.DeleteAddr(a)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return n, err
			}
		}
	}
	return n, nil
}

// maxFlushRounds is ip(8)'s limit, for another program that adds again what a flush deletes.
const maxFlushRounds = 10

// flushRounds repeats a round of a flush until it finds nothing, and prints statistics with -stats. what names the
// objects; once deletes those that it finds, and returns their number.
func (s *session) flushRounds(what string, once func() (int, error)) error {
	for round := 0; round < maxFlushRounds; round++ {
		n, err := once()
		if err != nil {
			return err
		}
		if n == 0 {
			return s.flushed(round)
		}
		if s.Stats > 0 {
			fmt.Fprintf(s.out, "\n*** Round %d, deleting %d %s ***\n", round+1, n, what)
		}
	}
	return exit(exitFailed, fmt.Errorf("%s are left after %d rounds: another program adds new ones", what, maxFlushRounds))
}
