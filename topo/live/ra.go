package live

import (
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
)

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
