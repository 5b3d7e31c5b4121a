//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// Survey reads the running machine whoever made what it has: the namespaces that
// have names, and in them and in the machine's own the links that are not of
// hardware, with all that stands on them. Of NAT it knows vnet's own tables, and
// the rules of others that say the same; the second result names what it saw and does
// not understand.
func Survey() (State, []string, error) {
	k := &Kernel{log: slog.New(slog.DiscardHandler), ipv6: speaksIPv6(), spaces: map[string]*space{}}
	defer k.Close()
	if err := k.enterAll(); err != nil {
		return nil, nil, err
	}
	r := &reading{}
	for _, s := range k.spaces {
		v := &spaceView{space: s}
		if err := k.survey(v); err != nil {
			return nil, nil, err
		}
		r.views = append(r.views, v)
	}
	unknown := r.allLinks()
	for _, v := range r.views {
		r.view(v)
		for _, route := range v.routes {
			if v.overOurs(route) {
				r.put(v.route(route))
			}
		}
		others, err := v.tables(r)
		if err != nil {
			return nil, nil, err
		}
		unknown = append(unknown, others...)
	}
	have := r.state()
	for _, o := range have {
		if veth, ok := o.(Veth); ok && (veth.Ends[0].NS == unknownNS || veth.Ends[1].NS == unknownNS) {
			unknown = append(unknown, veth.String()+": its other end is in a namespace without a name")
			delete(have, veth.Key())
		}
	}
	slices.Sort(unknown)
	return have, unknown, nil
}

// enterAll enters the machine's namespace and those with names.
func (k *Kernel) enterAll() error {
	here, err := nsfs.Current()
	if err != nil {
		return err
	}
	s, err := k.enter("", here, false)
	if err != nil {
		return err
	}
	entries, err := nsfs.List()
	if err != nil {
		return err
	}
	seen := map[nsfs.ID]bool{s.id: true}
	for _, e := range entries {
		if e.Stale || seen[e.ID] {
			continue
		}
		ns, err := nsfs.Open(e.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := k.enter(e.Name, ns, true); err != nil {
			return err
		}
		seen[e.ID] = true
	}
	return nil
}

// survey reads all there is.
func (k *Kernel) survey(v *spaceView) (err error) {
	c := v.space.conn
	if v.links, err = k.linksOf(c); err != nil {
		return err
	}
	v.meetLinks()
	if v.addrs, err = c.Addrs(rtnl.AddrFilter{}); err != nil {
		return err
	}
	if v.routes, err = c.Routes(rtnl.RouteFilter{}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if v.neighs, err = c.Neighs(rtnl.NeighFilter{}); err != nil {
		return err
	}
	v.values = map[string]string{}
	return v.space.insideOf(func() error {
		for _, name := range []string{forwarding4, forwarding6} {
			if value, err := nsfs.Sysctl(sysctlKey(name)); err == nil && value == "1" {
				v.values[name] = value
			}
		}
		return nil
	})
}

// allLinks puts in all links that are not of hardware, and names those of a kind
// that labs do not have.
func (r *reading) allLinks() (others []string) {
	table := endTable{}
	for _, v := range r.views {
		for i := range v.links {
			if l := &v.links[i]; l.Kind.Name == "veth" {
				at := [2]uint32{l.Index, l.Parent}
				table[at] = append(table[at], end{v, l})
			}
		}
	}
	for _, v := range r.views {
		for i := range v.links {
			l := &v.links[i]
			switch {
			case slices.Contains(labKinds, l.Kind.Name):
				if !v.ours[l.Index] {
					r.link(end{v, l}, table)
				}
			case l.Kind.Name != "" && !strings.HasSuffix(l.Name, "0"): // the kernel itself makes tunl0, sit0 …
				others = append(others, in(v.space.name)+"link "+l.Name+" type "+l.Kind.Name)
			}
		}
	}
	return others
}

// labKinds are the kinds of links that labs have.
var labKinds = []string{"bridge", "veth", KindDummy, KindVLAN, KindVXLAN, KindMACVLAN, KindIPVLAN}

// overOurs tells whether somebody made a route that leads over links of the state, or
// over none.
func (v *spaceView) overOurs(in rtnl.Route) bool {
	switch {
	case in.Protocol == unix.RTPROT_KERNEL, in.Protocol == unix.RTPROT_RA, in.Protocol == unix.RTPROT_REDIRECT:
		return false
	case in.Type != unix.RTN_UNICAST:
		return v.space.name != "" // the machine's own are not a lab's
	}
	for _, h := range in.Hops {
		if !v.ours[h.Link] {
			return false
		}
	}
	return len(in.Hops) > 0 || v.ours[in.Link]
}

// tables puts in the rules of vnet's own tables and of others that say the same, and
// names the chains that have more to say.
func (v *spaceView) tables(r *reading) (others []string, err error) {
	conn, err := v.space.nft()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := conn.Tables()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, name := range names {
		rules, err := conn.Read(name)
		known[name] = err == nil && len(rules) > 0
		for _, rule := range rules {
			others = append(others, r.rule(v.space.name, rule.Rule)...)
		}
	}
	rules, chains, err := v.space.plain(func(table string) bool { return known[table] })
	for _, rule := range rules {
		others = append(others, r.rule(v.space.name, rule)...)
	}
	for _, c := range chains {
		others = append(others, in(v.space.name)+"nftables "+c.String())
	}
	return others, err
}

// rule puts in a rule, or names one that no lab has: an element that is somebody's own,
// or masquerading whatever leaves by a link.
func (r *reading) rule(ns string, rule nft.Rule) (other []string) {
	o := objectOf(ns, rule)
	if m, ok := rule.(nft.Masquerade); o == nil || ok && !m.Source.IsValid() {
		return []string{in(ns) + rule.String()}
	}
	r.put(o)
	return nil
}
