package setting

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// net.ipv4.ip_forward and net.ipv6.conf.all.forwarding are one sysctl for all links. A write to
// one of them also writes sysctls of the links, and for IPv4 whether redirects are accepted; see
// the kernel's ip-sysctl.rst. So before a lab turns forwarding on, it records those of these
// sysctls that will not have their present value after forwarding is turned off. When the lab turns
// forwarding off, it restores the recorded values.

// A resetSysctl is a sysctl that the kernel resets when forwarding is turned off.
type resetSysctl struct {
	record string // the record's key; the link's name follows
	before string // the sysctl's path before the link's name
	after  string // the sysctl's path after the link's name
	value  string // the value that is recorded and restored
	all    bool   // a sysctl of "all", not of each link
}

func (r resetSysctl) path(link string) string { return r.before + link + r.after }

// resetSysctls returns the sysctls that a write to the forwarding sysctl resets. The kernel has
// net.ipv6.conf.LINK.force_forwarding since 6.17.
func resetSysctls(forwarding string) []resetSysctl {
	if forwarding == linux.ForwardingIPv6 {
		return []resetSysctl{
			{record: mark.ForwardsKey("ipv6"), before: "net/ipv6/conf/", after: "/forwarding", value: "1"},
			{record: mark.ForcesKey, before: "net/ipv6/conf/", after: "/force_forwarding", value: "1"},
		}
	}
	return []resetSysctl{
		{record: mark.ForwardsKey("ipv4"), before: "net/ipv4/conf/", after: "/forwarding", value: "1"},
		{record: mark.RedirectsKey, before: "net/ipv4/conf/", after: "/accept_redirects", value: "0", all: true},
	}
}

// forwardsKey returns the key of the records of links that forward although forwarding is off for
// all links. For IPv6 that is force_forwarding: the sysctl forwarding of a link cannot do this.
func forwardsKey(name string) string {
	if name == linux.ForwardingIPv6 {
		return mark.ForcesKey
	}
	return mark.ForwardsKey("ipv4")
}

// isForwarding reports whether a sysctl is one of those with [resetSysctls].
func isForwarding(name string) bool {
	return name == linux.ForwardingIPv4 || name == linux.ForwardingIPv6
}

// recordForwarding records the values that change when forwarding is turned on and off again. If another
// lab turned forwarding on, it copies that lab's records. It returns the records without the lab's mark.
func (c *Changer) recordForwarding(h *netns.Handle, lo rtnl.Link, name string) (records []string, err error) {
	records = recordsOfAllLabs(lo, name)
	if _, shared := mark.Foreign(lo.AltNames, c.lab, name); !shared {
		if records, err = forwardingRecords(h, name, mark.Of(c.lab)); err != nil {
			return nil, err
		}
	}
	for _, r := range records {
		err := c.changeLoRecord(h, rtnl.AddAltNames, mark.Of(c.lab)+r)
		if err != nil && !errors.Is(err, fs.ErrExist) { // vnet was killed after it wrote the record
			return nil, err
		}
	}
	return records, nil
}

// recordsOfAllLabs returns the records of all labs about a forwarding sysctl, without the labs' marks.
func recordsOfAllLabs(lo rtnl.Link, name string) (records []string) {
	for _, alt := range lo.AltNames {
		for _, r := range resetSysctls(name) {
			if _, link, ok := strings.Cut(alt, r.record); ok {
				records = append(records, r.record+link)
			}
		}
	}
	return records
}

// forwardingRecords returns the records to write before forwarding is turned on, without the lab's
// mark; none if it is on. It ignores links with the alias except. If there is a snapshot, it takes
// the links from there, because all newer links are the lab's.
func forwardingRecords(h *netns.Handle, name, except string) (records []string, err error) {
	if value, err := Read(h, name); err != nil || value != "0" {
		return nil, err
	}
	var all []rtnl.Link
	if h.Snapshot != nil {
		all = h.Snapshot.Links
	} else if all, err = h.Conn.Links(rtnl.LinkFilter{NoStats: true}); err != nil {
		return nil, err
	}
	names := []string{"default"} // the value for new links
	for _, l := range all {
		if l.Alias != except {
			names = append(names, l.Name)
		}
	}
	for _, r := range resetSysctls(name) {
		links := names
		if r.all {
			links = []string{"all"}
		}
		for _, link := range links {
			switch value, err := Read(h, r.path(link)); {
			case errors.Is(err, fs.ErrNotExist): // link deleted, without this protocol, or an older kernel
			case err != nil:
				return nil, err
			case value == r.value:
				records = append(records, r.record+mark.Escaper.Replace(link))
			}
		}
	}
	return records, nil
}

// restoreForwarding undoes recordForwarding. restored means that the sysctl for all links has its
// former value again; it is false if another lab still needs forwarding.
func (c *Changer) restoreForwarding(h *netns.Handle, lo rtnl.Link, name string, restored bool) error {
	for _, record := range lo.AltNames {
		for _, r := range resetSysctls(name) {
			word, ok := strings.CutPrefix(record, mark.Of(c.lab)+r.record)
			if !ok {
				continue
			}
			if restored {
				err := c.set(h, r.path(mark.Unescaper.Replace(word)), r.value)
				if err != nil && !errors.Is(err, fs.ErrNotExist) { // the link was deleted
					return err
				}
			}
			if err := c.changeLoRecord(h, rtnl.DeleteAltNames, record); err != nil {
				return err
			}
		}
	}
	return nil
}

// A machine that starts to forward IPv6 ignores router advertisements from then on, and
// soon loses its default route; see accept_ra in the kernel's ip-sysctl.rst. So when a lab
// turns forwarding on, it sets accept_ra=2 on links with routes from advertisements and
// records that on lo.

// raRecord is the prefix of the record that accept_ra was set to 2; the link's name follows.
func raRecord(lab string) string { return mark.Of(lab) + mark.AcceptRAKey }

func acceptRA(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }

// keepAcceptRA is called before forwarding is turned on in a namespace. It changes
// accept_ra only from 1, the default, to 2. If another lab has set it to 2, it only adds a record.
func (c *Changer) keepAcceptRA(h *netns.Handle, lo rtnl.Link) error {
	links, err := LinksWithRARoutes(h.Conn)
	if err != nil {
		return err
	}
	for _, link := range links {
		record := raRecord(c.lab) + mark.Escaper.Replace(link)
		was, err := Read(h, acceptRA(link))
		if err != nil {
			return err
		}
		if slices.Contains(lo.AltNames, record) || was != "1" && !otherLabKeepsRA(lo.AltNames, record) {
			continue
		}
		if err := c.calls.Send(h, rtnl.AddAltNames(rtnl.LinkID{Index: lo.Index}, record)); err != nil {
			return err
		}
		if err := c.set(h, acceptRA(link), "2"); err != nil {
			return err
		}
	}
	return nil
}

// restoreAcceptRA undoes keepAcceptRA, except for links that another lab recorded, too.
func (c *Changer) restoreAcceptRA(h *netns.Handle, lo rtnl.Link) error {
	for _, record := range lo.AltNames {
		word, ok := strings.CutPrefix(record, raRecord(c.lab))
		if !ok {
			continue
		}
		link := mark.Unescaper.Replace(word)
		now, err := Read(h, acceptRA(link))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the link was deleted
			return err
		}
		if err == nil && now == "2" && !otherLabKeepsRA(lo.AltNames, record) {
			if err := c.set(h, acceptRA(link), "1"); err != nil {
				return err
			}
		}
		remove := rtnl.DeleteAltNames(rtnl.LinkID{Index: lo.Index}, record)
		if err := c.calls.Send(h, remove); err != nil {
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

// LinksWithRARoutes returns the names of links that have routes from router advertisements.
func LinksWithRARoutes(c *rtnl.Conn) ([]string, error) {
	routes, err := c.Routes(rtnl.RouteFilter{Family: unix.AF_INET6, AllTables: true, Protocol: unix.RTPROT_RA})
	if err != nil {
		return nil, err
	}
	var links []uint32
	for _, r := range routes {
		if r.Protocol != unix.RTPROT_RA {
			continue
		}
		links = append(links, r.Link) // 0 for a multipath route
		for _, h := range r.Hops {
			links = append(links, h.Link)
		}
	}
	slices.Sort(links)
	var names []string
	for _, i := range slices.Compact(links) {
		if i == 0 {
			continue
		}
		l, err := c.Link(rtnl.LinkID{Index: i})
		if err != nil {
			return nil, err
		}
		names = append(names, l.Name)
	}
	return names, nil
}
