//go:build linux

package topo

import (
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/rtnl"
)

// A machine that begins to forward IPv6 no longer listens to the routers around it,
// and soon has no way out itself; see accept_ra in the kernel's ip-sysctl.rst. Where a
// lab makes one forward that a router has told its routes, it has it go on listening,
// and remembers that on lo.

// raRecord begins the record that a link is to go on listening; its name follows.
func raRecord(lab string) string { return Mark(lab) + ":ra=" }

func acceptRA(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }

// keepListening is for a namespace that is about to forward. A link that is told not
// to listen, or to always do so, stays as it is, unless that was another lab.
func (k *Kernel) keepListening(s *space, lo rtnl.Link) (touched bool, err error) {
	links, err := advertised(s.conn)
	if err != nil {
		return false, err
	}
	for _, link := range links {
		record := raRecord(k.lab) + recordWord.Replace(link)
		was, err := s.sysctl(acceptRA(link))
		if err != nil || slices.Contains(lo.AltNames, record) || was != "1" && !othersListen(lo.AltNames, record) {
			if err != nil {
				return touched, err
			}
			continue
		}
		if err := k.do(s, []rtnl.Request{rtnl.AddAltNames(rtnl.LinkID{Index: lo.Index}, record)})[0]; err != nil {
			return touched, err
		}
		touched = true
		if err := k.setSysctl(s, acceptRA(link), "2"); err != nil {
			return touched, err
		}
	}
	return touched, nil
}

// listenAsBefore takes keepListening back, but for what another lab wants so, too.
func (k *Kernel) listenAsBefore(s *space, lo rtnl.Link) error {
	for _, record := range lo.AltNames {
		word, ok := strings.CutPrefix(record, raRecord(k.lab))
		if !ok {
			continue
		}
		link := recordText.Replace(word)
		now, err := s.sysctl(acceptRA(link)) // the link may be gone
		if err == nil && now == "2" && !othersListen(lo.AltNames, record) {
			if err := k.setSysctl(s, acceptRA(link), "1"); err != nil {
				return err
			}
		}
		if err := k.do(s, []rtnl.Request{rtnl.DeleteAltNames(rtnl.LinkID{Index: lo.Index}, record)})[0]; err != nil {
			return err
		}
	}
	return nil
}

// othersListen tells whether another lab has the same record.
func othersListen(names []string, record string) bool {
	_, ra, _ := strings.Cut(strings.TrimPrefix(record, Mark("")), ":")
	return slices.ContainsFunc(names, func(n string) bool {
		return n != record && strings.HasPrefix(n, Mark("")) && strings.HasSuffix(n, ":"+ra)
	})
}
