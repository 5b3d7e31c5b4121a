//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/vnet-lab/vnet/rtnl"
)

// Whether a machine forwards is one switch for all its links, net.ipv4.ip_forward and
// net.ipv6.conf.all.forwarding, and each link has its own besides; see the kernel's
// ip-sysctl.rst. Who writes the one writes all the others. So a lab that makes a machine
// forward remembers which links did so before, and has them do it again at its end.

// forwardsRecord begins the record of a link that forwarded before all links did; its
// name follows.
func forwardsRecord(lab, name string) string { return Mark(lab) + forwardsWord(name) }

func forwardsWord(name string) string {
	if name == forwarding6 {
		return ":forwards6="
	}
	return ":forwards4="
}

// forwardingOf is the switch of a link that the switch of a name writes.
func forwardingOf(name, link string) string {
	if name == forwarding6 {
		return "net/ipv6/conf/" + link + "/forwarding"
	}
	return "net/ipv4/conf/" + link + "/forwarding"
}

// isForwarding tells the switches that write those of links.
func isForwarding(name string) bool { return name == forwarding4 || name == forwarding6 }

// rememberForwarding is for a namespace all of whose links are about to forward. If
// another lab had them do so, it knows which did before.
func (k *Kernel) rememberForwarding(s *space, lo rtnl.Link, name string) (touched bool, err error) {
	links, err := s.forwarding(name, Mark(k.lab))
	if err != nil {
		return false, err
	}
	if recordOfOthers(lo.AltNames, k.lab, name) != "" {
		links = nil
		for _, n := range lo.AltNames {
			if _, link, ok := strings.Cut(n, forwardsWord(name)); ok {
				links = append(links, recordText.Replace(link))
			}
		}
	}
	for _, link := range links {
		err := k.record(s, rtnl.AddAltNames, forwardsRecord(k.lab, name)+recordWord.Replace(link))
		if err != nil && !errors.Is(err, fs.ErrExist) { // of a lab that was killed before it wrote the switch
			return touched, err
		}
		touched = true
	}
	return touched, nil
}

// forwarding lists the links that forward though not all do, but for those of an alias: of those
// that were there when the namespace was read, if it was, for all others are the lab's.
func (s *space) forwarding(name, but string) (links []string, err error) {
	if all, err := s.sysctl(name); err != nil || all != "0" {
		return nil, err
	}
	var there []rtnl.Link
	if s.view != nil {
		there = s.view.links
	} else if there, err = s.conn.Links(rtnl.LinkFilter{NoStats: true}); err != nil {
		return nil, err
	}
	names := []string{"default"} // what new ones begin with
	for _, l := range there {
		if l.Alias != but {
			names = append(names, l.Name)
		}
	}
	for _, link := range names {
		switch value, err := s.sysctl(forwardingOf(name, link)); {
		case errors.Is(err, fs.ErrNotExist): // gone, or without this protocol
		case err != nil:
			return nil, err
		case value == "1":
			links = append(links, link)
		}
	}
	return links, nil
}

// forwardAsBefore takes rememberForwarding back, once the switch for all is as it was,
// if it is: another lab goes on to need it.
func (k *Kernel) forwardAsBefore(s *space, lo rtnl.Link, name string, switched bool) error {
	for _, record := range lo.AltNames {
		word, ok := strings.CutPrefix(record, forwardsRecord(k.lab, name))
		if !ok {
			continue
		}
		if switched {
			err := k.setSysctl(s, forwardingOf(name, recordText.Replace(word)), "1")
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // the link is gone
				return err
			}
		}
		if err := k.record(s, rtnl.DeleteAltNames, record); err != nil {
			return err
		}
	}
	return nil
}
