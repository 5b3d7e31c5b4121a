package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/rtnl"
)

// neighObject is vnet neigh. ip(8) has both spellings.
func neighObject(name string) *object {
	return &object{
		name: name, short: true, usage: "neighbours: the link-layer addresses of hosts on a link", help: neighHelp,
		verbs: words.NeighVerbs(), run: (*session).neigh,
	}
}

const neighHelp = `
vnet neigh [show] [[to] PREFIX] [dev DEV] [nud STATE] [proxy] [unused] [vrf NAME]
           [nomaster]
vnet neigh { add | replace | change } { ADDR [lladdr LLADDR] [nud STATE] | proxy ADDR }
           dev DEV [router] [extern_learn] [protocol PROTO]
vnet neigh del { ADDR | proxy ADDR } dev DEV
vnet neigh get { ADDR | proxy ADDR } dev DEV
vnet neigh flush { dev DEV | SELECTION | all }

STATE := permanent | noarp | stale | reachable | none | incomplete | delay | probe |
         failed | all

   vnet -n red neigh
   vnet neigh add 192.168.15.9 lladdr 02:00:00:00:00:09 dev v-net-0
   vnet neigh flush dev v-net-0
`

// neigh runs vnet neigh.
func (s *session) neigh(args []string) error {
	w := words.Of(args)
	switch verb := w.NeighVerb(); verb {
	case "add", "change", "replace", "delete":
		return s.neighChange(verb, w)
	case "get":
		return s.neighGet(w)
	case "show":
		return s.neighShow(w)
	case "flush":
		return s.neighFlush(w)
	case "help":
		return s.usage(neighHelp)
	}
	return w.Err
}

// neighRequests makes the request for each verb.
var neighRequests = map[string]func(rtnl.Neigh) rtnl.Request{
	"add": rtnl.AddNeigh, "change": rtnl.ChangeNeigh, "replace": rtnl.ReplaceNeigh, "delete": rtnl.DeleteNeigh,
}

// neighOf parses one neighbour and looks up its link.
func (s *session) neighOf(verb string, w *words.Words) (words.NeighChange, error) {
	c := w.NeighChange(verb, s.Family)
	if w.Err != nil {
		return c, w.Err
	}
	if c.Help {
		return c, s.usage(neighHelp)
	}
	var err error
	c.Neigh.Link, err = s.linkIndex(c.Dev)
	return c, err
}

func (s *session) neighChange(verb string, w *words.Words) error {
	c, err := s.neighOf(verb, w)
	if err != nil {
		return err
	}
	return s.do(neighRequests[verb](c.Neigh).For(fmt.Sprintf("neighbour %v dev %s", c.Neigh, c.Dev)))
}

func (s *session) neighGet(w *words.Words) error {
	c, err := s.neighOf("get", w)
	if err != nil {
		return exit(exitFailed, err) // ip(8)'s exit code for every error of get
	}
	conn, err := s.rtnl()
	if err != nil {
		return err
	}
	n, err := conn.Neigh(c.Neigh.Link, c.Neigh.Addr, c.Neigh.Proxy())
	if err != nil {
		return err
	}
	return s.printNeighs([]rtnl.Neigh{n}, false)
}

func (s *session) printNeighs(neighs []rtnl.Neigh, hideDev bool) error {
	names, err := s.linkNames()
	if err != nil {
		return err
	}
	return show.Neighs(s.out, neighs, show.NeighStyle{Style: s.style(), Link: names, HideDev: hideDev})
}

// selectNeighs reads the selected neighbours.
func (s *session) selectNeighs(sel words.NeighSelection) ([]rtnl.Neigh, error) {
	c, err := s.rtnl()
	if err != nil {
		return nil, err
	}
	f := rtnl.NeighFilter{Family: uint8(sel.Family), Proxy: sel.Proxy}
	if f.Link, err = s.linkIndex(sel.Dev); err != nil {
		return nil, err
	}
	if sel.VRF {
		if _, err := s.vrfTable(sel.Master); err != nil {
			return nil, exit(exitUsage, err)
		}
	}
	if f.Master, err = s.linkIndex(sel.Master); err != nil {
		return nil, exit(exitUsage, err)
	}
	all, err := c.Neighs(f)
	if err != nil {
		return nil, err
	}
	ports, err := s.ports(sel.NoMaster)
	if err != nil {
		return nil, err
	}
	var chosen []rtnl.Neigh
	for _, n := range all {
		if (f.Link == 0 || n.Link == f.Link) && !ports[n.Link] && sel.Matches(n) {
			chosen = append(chosen, n)
		}
	}
	return chosen, nil
}

// ports returns which links have a master; if needed is false, none.
func (s *session) ports(needed bool) (map[uint32]bool, error) {
	ports := map[uint32]bool{}
	if !needed {
		return ports, nil
	}
	c, err := s.rtnl()
	if err != nil {
		return nil, err
	}
	links, err := c.Links(rtnl.LinkFilter{NoStats: true})
	for _, l := range links {
		ports[l.Index] = l.Master != 0
	}
	return ports, err
}

func (s *session) neighShow(w *words.Words) error {
	sel := w.NeighSelection(s.Family, false)
	if w.Err != nil {
		return w.Err
	}
	if sel.Help {
		return s.usage(neighHelp)
	}
	chosen, err := s.selectNeighs(sel)
	if err != nil {
		return err
	}
	return s.printNeighs(chosen, sel.Dev != "")
}

// neighFlush deletes the selected neighbours. A neighbour that no longer exists is not an error.
func (s *session) neighFlush(w *words.Words) error {
	if !w.More() {
		return exit(exitFailed, words.Errorf("what to flush? Use vnet neigh flush dev LINK, or all"))
	}
	sel := w.NeighSelection(s.Family, true)
	if w.Err != nil {
		return w.Err
	}
	if sel.Help {
		return s.usage(neighHelp)
	}
	return s.flushRounds("entries", func() (int, error) { return s.flushNeighs(sel) })
}

// flushNeighs deletes the selected neighbours once and returns their number.
func (s *session) flushNeighs(sel words.NeighSelection) (int, error) {
	chosen, err := s.selectNeighs(sel)
	if err == nil && s.Stats > 1 {
		err = s.printNeighs(chosen, false)
	}
	if err != nil {
		return 0, err
	}
	for _, n := range chosen {
		if err := s.do(rtnl.DeleteNeigh(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	return len(chosen), nil
}
