package execute

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// applyIPv6Modes writes the IPv6 settings of the links that a stage created or changed. It writes as few as
// possible: to find a setting in one of a thousand namespaces, the kernel compares the names in all others.
func (x *Executor) applyIPv6Modes(stage []topo.Step, results []result) {
	if !x.Table.IPv6 {
		return
	}
	modes := x.IPv6Modes()
	var links []topo.LinkSettings
	for i, s := range stage {
		if results[i].err != nil {
			continue
		}
		for _, l := range s.IPv6Settings(modes, x.isShared) {
			l.Step = i
			links = append(links, l)
		}
	}
	x.writeIPv6Settings(links, results)
}

// isShared reports whether a namespace is not the lab's own.
func (x *Executor) isShared(ns string) bool {
	h, err := x.Table.Handle(ns)
	return err == nil && !h.Own
}

// addrGenRequests returns the requests for addrgenmode none. They also delete the link-local address
// that the kernel has created.
func (rb *requestBuilder) addrGenRequests(s *netns.Handle, a topo.AddrGenNone) ([]rtnl.Request, error) {
	link, err := s.LinkIndex(a.Link)
	if err != nil {
		return nil, err
	}
	none := rtnl.AddrGenNone
	reqs := []rtnl.Request{rtnl.SetLink(rtnl.LinkID{Index: link}, rtnl.LinkConfig{AddrGenMode: &none})}
	if s.Snapshot == nil || s.Snapshot.Names[link] == "" { // a new link, never up
		return reqs, nil
	}
	addrs, err := s.Conn.Addrs(rtnl.AddrFilter{Link: link, Family: unix.AF_INET6})
	for _, a := range addrs {
		if rb.table.IsKernelLinkLocal(a) {
			reqs = append(reqs, rtnl.DeleteAddr(a))
		}
	}
	return reqs, err
}

// restoreLinkLocal gives links whose AddrGenNone a stage deletes their link-local address again.
// The kernel creates it at once if the mode changes by a sysctl, but not by a netlink message.
func (x *Executor) restoreLinkLocal(stage []topo.Step, results []result) {
	var links []topo.LinkSettings
	for i, s := range stage {
		if a, ok := s.Have.(topo.AddrGenNone); ok && s.Want == nil {
			l := a.SettingsWithout(x.IPv6Modes()[topo.LinkKey(a.NS, a.Link)], x.isShared)
			l.Step = i
			links = append(links, l)
			results[i].touched = true
		}
	}
	x.writeIPv6Settings(links, results)
}

// writeIPv6Settings writes the IPv6 settings of links, namespace by namespace.
func (x *Executor) writeIPv6Settings(links []topo.LinkSettings, results []result) {
	var order []string
	indexes := map[string][]int{} // in links, by namespace
	for i, l := range links {
		if indexes[l.Link.NS] == nil {
			order = append(order, l.Link.NS)
		}
		indexes[l.Link.NS] = append(indexes[l.Link.NS], i)
	}
	errs := make([]error, len(links))
	err := netns.WithThreads(len(order), func(t nsfs.Thread, n int) {
		s, err := x.Table.Handle(order[n])
		if err == nil {
			err = s.WithFile(t.Enter)
		}
		for _, i := range indexes[order[n]] {
			if errs[i] = err; err == nil {
				errs[i] = writeSettings(t, s.Own, links[i])
			}
		}
	})
	for i, l := range links {
		if err := errors.Join(errs[i], err); err != nil && results[l.Step].err == nil {
			results[l.Step].err = fmt.Errorf("%s%w", display.In(l.Link.NS), err)
		}
	}
}

// writeSettings writes the settings in the namespace that the thread is in.
func writeSettings(t nsfs.Thread, own bool, l topo.LinkSettings) error {
	copies := func(set string) bool { return !strings.Contains(set, "=") }
	if own && !l.Optional && !slices.ContainsFunc(l.Settings, copies) {
		return t.SetSysctls("net/ipv6/conf/"+l.Link.Name, l.Settings...)
	}
	for _, set := range l.Settings {
		name, value, hasValue := strings.Cut(set, "=")
		err := error(nil)
		if !hasValue {
			value, err = nsfs.Sysctl("net/ipv6/conf/default/" + name)
		}
		if err == nil {
			err = setSysctlIfExists("net/ipv6/conf/"+l.Link.Name+"/"+name, value)
		}
		if l.Optional && (errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission)) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setSysctlIfExists sets a sysctl that not every kernel has.
func setSysctlIfExists(name, value string) error {
	err := nsfs.SetSysctl(name, value)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
