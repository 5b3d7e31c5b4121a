package live

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// net.ipv4.ip_forward and net.ipv6.conf.all.forwarding are one sysctl for all links, and
// each link has its own forwarding sysctl, too; see the kernel's ip-sysctl.rst. A write to
// the first one also writes all the others. So a lab that turns forwarding on records which
// links forwarded before. When it turns forwarding off, it restores these links.

// forwardingRecord is the prefix of the record of a link that forwarded before; the
// link's name follows.
func forwardingRecord(lab, name string) string { return mark.Of(lab) + forwardingRecordKey(name) }

func forwardingRecordKey(name string) string {
	if name == topo.ForwardingIPv6 {
		return ":forwards6="
	}
	return ":forwards4="
}

// linkForwarding returns the sysctl of a link that a write to the sysctl name also writes.
func linkForwarding(name, link string) string {
	if name == topo.ForwardingIPv6 {
		return "net/ipv6/conf/" + link + "/forwarding"
	}
	return "net/ipv4/conf/" + link + "/forwarding"
}

// isForwarding reports whether a sysctl also writes those of the links.
func isForwarding(name string) bool {
	return name == topo.ForwardingIPv4 || name == topo.ForwardingIPv6
}

// recordForwarding records which links forward now, before the lab turns forwarding on for
// all. If another lab already did so, recordForwarding copies that lab's records.
func (x *executor) recordForwarding(h *netnsHandle, lo rtnl.Link, name string) (touched bool, err error) {
	links, err := h.forwardingLinks(name, mark.Of(x.lab))
	if err != nil {
		return false, err
	}
	if mark.Foreign(lo.AltNames, x.lab, name) != "" {
		links = nil
		for _, n := range lo.AltNames {
			if _, link, ok := strings.Cut(n, forwardingRecordKey(name)); ok {
				links = append(links, mark.Unescaper.Replace(link))
			}
		}
	}
	for _, link := range links {
		err := x.changeLoRecord(h, rtnl.AddAltNames, forwardingRecord(x.lab, name)+mark.Escaper.Replace(link))
		if err != nil && !errors.Is(err, fs.ErrExist) { // vnet was killed after it wrote the record
			return touched, err
		}
		touched = true
	}
	return touched, nil
}

// forwardingLinks lists the links that forward while forwarding for all is off. It ignores
// links with the alias except. If there is a snapshot it looks at the links in it: all newer
// links are the lab's.
func (h *netnsHandle) forwardingLinks(name, except string) (links []string, err error) {
	if value, err := h.sysctl(name); err != nil || value != "0" {
		return nil, err
	}
	var all []rtnl.Link
	if h.snapshot != nil {
		all = h.snapshot.links
	} else if all, err = h.conn.Links(rtnl.LinkFilter{NoStats: true}); err != nil {
		return nil, err
	}
	names := []string{"default"} // the value for new links
	for _, l := range all {
		if l.Alias != except {
			names = append(names, l.Name)
		}
	}
	for _, link := range names {
		switch value, err := h.sysctl(linkForwarding(name, link)); {
		case errors.Is(err, fs.ErrNotExist): // link deleted, or without this protocol
		case err != nil:
			return nil, err
		case value == "1":
			links = append(links, link)
		}
	}
	return links, nil
}

// restoreForwarding undoes recordForwarding. restored reports whether the sysctl for all
// links has its former value again; it has not if another lab still needs it.
func (x *executor) restoreForwarding(h *netnsHandle, lo rtnl.Link, name string, restored bool) error {
	for _, record := range lo.AltNames {
		word, ok := strings.CutPrefix(record, forwardingRecord(x.lab, name))
		if !ok {
			continue
		}
		if restored {
			err := x.setSysctl(h, linkForwarding(name, mark.Unescaper.Replace(word)), "1")
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // the link was deleted
				return err
			}
		}
		if err := x.changeLoRecord(h, rtnl.DeleteAltNames, record); err != nil {
			return err
		}
	}
	return nil
}

// A machine that starts to forward IPv6 ignores router advertisements from then on, and
// soon loses its default route; see accept_ra in the kernel's ip-sysctl.rst. So when a lab
// turns forwarding on, it sets accept_ra=2 on links with routes from advertisements and
// records that on lo.

// raRecord is the prefix of the record that accept_ra was set to 2; the link's name follows.
func raRecord(lab string) string { return mark.Of(lab) + ":ra=" }

func acceptRA(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }

// keepAcceptRA is called before forwarding is turned on in a namespace. It changes
// accept_ra only from 1, the default, to 2. It also adds a record if another lab set the 2.
func (x *executor) keepAcceptRA(h *netnsHandle, lo rtnl.Link) (touched bool, err error) {
	links, err := linksWithRARoutes(h.conn)
	if err != nil {
		return false, err
	}
	for _, link := range links {
		record := raRecord(x.lab) + mark.Escaper.Replace(link)
		was, err := h.sysctl(acceptRA(link))
		if err != nil || slices.Contains(lo.AltNames, record) || was != "1" && !otherLabKeepsRA(lo.AltNames, record) {
			if err != nil {
				return touched, err
			}
			continue
		}
		if err := x.sendRequests(h, []rtnl.Request{rtnl.AddAltNames(rtnl.LinkID{Index: lo.Index}, record)})[0]; err != nil {
			return touched, err
		}
		touched = true
		if err := x.setSysctl(h, acceptRA(link), "2"); err != nil {
			return touched, err
		}
	}
	return touched, nil
}

// restoreAcceptRA undoes keepAcceptRA, except for links that another lab recorded, too.
func (x *executor) restoreAcceptRA(h *netnsHandle, lo rtnl.Link) error {
	for _, record := range lo.AltNames {
		word, ok := strings.CutPrefix(record, raRecord(x.lab))
		if !ok {
			continue
		}
		link := mark.Unescaper.Replace(word)
		now, err := h.sysctl(acceptRA(link)) // fails if the link was deleted
		if err == nil && now == "2" && !otherLabKeepsRA(lo.AltNames, record) {
			if err := x.setSysctl(h, acceptRA(link), "1"); err != nil {
				return err
			}
		}
		remove := rtnl.DeleteAltNames(rtnl.LinkID{Index: lo.Index}, record)
		if err := x.sendRequests(h, []rtnl.Request{remove})[0]; err != nil {
			return err
		}
	}
	return nil
}

// otherLabKeepsRA reports whether another lab has the same record.
func otherLabKeepsRA(names []string, record string) bool {
	_, ra, _ := strings.Cut(strings.TrimPrefix(record, mark.Of("")), ":")
	return slices.ContainsFunc(names, func(n string) bool {
		return n != record && strings.HasPrefix(n, mark.Of("")) && strings.HasSuffix(n, ":"+ra)
	})
}
