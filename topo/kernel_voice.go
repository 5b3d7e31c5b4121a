//go:build linux

package topo

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// giveVoice tells links what they say of IPv6. Quiet ones need it least, and to write a setting
// in one of a thousand namespaces, the kernel looks through the names of those in all others.
func (k *Kernel) giveVoice(stage []Step, results []result) {
	if !k.ipv6 {
		return
	}
	var told []stepLink
	for i, s := range stage {
		if results[i].err != nil {
			continue
		}
		for _, l := range s.told6(k.voices) {
			l.step = i
			told = append(told, l)
		}
	}
	k.tell6(told, results)
}

// quietRequests also take the address away that the link has got already.
func (k *Kernel) quietRequests(s *space, q Quiet) ([]rtnl.Request, error) {
	link, err := s.linkIndex(q.Link)
	if err != nil {
		return nil, err
	}
	none := uint8(addrGenNone)
	reqs := []rtnl.Request{rtnl.SetLink(rtnl.LinkID{Index: link}, rtnl.LinkConfig{AddrGenMode: &none})}
	if s.view == nil || s.view.names[link] == "" { // it is new, and was never up
		return reqs, nil
	}
	addrs, err := s.conn.Addrs(rtnl.AddrFilter{Link: link, Family: unix.AF_INET6})
	for _, a := range addrs {
		if a.Prefix.Addr().IsLinkLocalUnicast() && !given(a) {
			reqs = append(reqs, rtnl.DeleteAddr(a))
		}
	}
	return reqs, err
}

// breakSilence lets links that were quiet have a link-local address. The kernel makes it at
// once, if it is a setting that says so.
func (k *Kernel) breakSilence(stage []Step, results []result) {
	var told []stepLink
	for i, s := range stage {
		if q, ok := s.Have.(Quiet); ok && s.Want == nil {
			told = append(told, stepLink{i, Key{OfLink, q.NS, q.Link}, speaking(), false})
			results[i].touched = true
		}
	}
	k.tell6(told, results)
}

// tell6 writes the settings of links that have any of IPv6, namespace by namespace.
func (k *Kernel) tell6(links []stepLink, results []result) {
	var order []string
	in := map[string][]int{}
	for i, l := range links {
		if in[l.link.NS] == nil {
			order = append(order, l.link.NS)
		}
		in[l.link.NS] = append(in[l.link.NS], i)
	}
	errs := make([]error, len(links))
	err := travelling(len(order), func(t nsfs.Traveller, n int) {
		s, err := k.space(order[n])
		if err == nil {
			err = s.withFile(t.Enter)
		}
		for _, i := range in[order[n]] {
			if errs[i] = err; err == nil {
				errs[i] = links[i].tell()
			}
		}
	})
	for i, l := range links {
		if err := errors.Join(errs[i], err); err != nil && results[l.step].err == nil {
			results[l.step].err = fmt.Errorf("%s: %w", l.link, err)
		}
	}
}

// tell writes the settings, in the namespace of the calling thread.
func (l stepLink) tell() error {
	for _, set := range l.settings {
		name, value, _ := strings.Cut(set, "=")
		err := error(nil)
		if value == asByDefault {
			value, err = nsfs.Sysctl("net/ipv6/conf/default/" + name)
		}
		if err == nil {
			err = sysctlIfThere("net/ipv6/conf/"+l.link.Name+"/"+name, value)
		}
		if l.spare && (errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission)) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
