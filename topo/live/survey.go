package live

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// Survey reads the running machine, including what vnet did not create. It reads the
// machine's namespace and those with names: their virtual links, and addresses, routes
// and neighbours on these. It reads NAT rules from vnet's tables, and from foreign tables if
// vnet could write the same rules. The second result lists what a State cannot represent.
func Survey() (topo.State, []string, error) {
	rd := newReader(netns.NewTable("", nil))
	defer func() { _ = rd.table.Close() }() // there is no lock
	if err := rd.openAll(); err != nil {
		return nil, nil, err
	}
	r := &stateBuilder{survey: true}
	for _, s := range rd.table.Handles {
		v := &netnsSnapshot{handle: s}
		if err := rd.survey(v); err != nil {
			return nil, nil, err
		}
		r.snapshots = append(r.snapshots, v)
	}
	unknown := r.allLinks()
	for _, v := range r.snapshots {
		r.namespace(v)
		for _, route := range v.routes {
			if v.overLabLinks(route) {
				r.put(v.route(route))
			}
		}
		unknown = append(unknown, r.surveyIPRules(v)...)
		more, err := v.tables(r)
		if err != nil {
			return nil, nil, err
		}
		unknown = append(unknown, more...)
	}
	have := r.state()
	unknown = append(unknown, removeHalfPairs(have)...)
	slices.Sort(unknown)
	return have, unknown, nil
}

// removeHalfPairs removes veth pairs with an end in an unknown namespace, and returns them.
func removeHalfPairs(have topo.State) (unknown []string) {
	for _, o := range have {
		if veth, ok := o.(topo.Veth); ok && (veth.Ends[0].NS == unknownNS || veth.Ends[1].NS == unknownNS) {
			unknown = append(unknown, veth.String()+": its other end is in a namespace without a name")
			delete(have, veth.Key())
		}
	}
	return unknown
}

// openAll opens handles of the machine's namespace and of those with names.
func (rd *reader) openAll() error {
	here, err := nsfs.Current()
	if err != nil {
		return err
	}
	s, err := rd.table.Open("", here, false)
	if err != nil {
		return err
	}
	entries, err := nsfs.List()
	if err != nil {
		return err
	}
	seen := map[nsfs.ID]bool{s.ID: true}
	for _, e := range entries {
		if e.Stale || seen[e.ID] {
			continue
		}
		ns, err := nsfs.Open(e.Name)
		if errors.Is(err, fs.ErrNotExist) { // deleted in the meantime
			continue
		}
		if err != nil {
			return err
		}
		if _, err := rd.table.Open(e.Name, ns, true); err != nil {
			return err
		}
		seen[e.ID] = true
	}
	return nil
}

// survey reads a namespace completely.
func (rd *reader) survey(v *netnsSnapshot) (err error) {
	if v.Links, err = rd.linksOf(v.handle.Conn); err != nil {
		return err
	}
	v.indexLinks()
	if err := v.readOnLinks("", rtnl.RouteFilter{}); err != nil {
		return err
	}
	v.ipRules, err = v.handle.Conn.Rules(0)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) { // a kernel without CONFIG_IP_MULTIPLE_TABLES
		return err
	}
	v.values = map[string]string{}
	return v.handle.RunInside(func() error {
		for _, name := range []string{linux.ForwardingIPv4, linux.ForwardingIPv6} {
			if value, err := nsfs.Sysctl(setting.Key(name)); err == nil && value == "1" {
				v.values[name] = value
			}
		}
		return nil
	})
}

// allLinks adds all virtual links, and returns those of a kind that labs do not have.
func (r *stateBuilder) allLinks() (unknown []string) {
	r.findVeths()
	for _, v := range r.snapshots {
		for i := range v.Links {
			l := &v.Links[i]
			switch {
			case convert.LinkKindNamed(l.Kind.Name) != nil:
				if !v.inLab[l.Index] {
					r.link(linkEntry{v, l})
				}
			case l.Kind.Name != "" && !strings.HasSuffix(l.Name, "0"): // the kernel itself creates tunl0, sit0 …
				unknown = append(unknown, display.In(v.handle.Name)+"link "+l.Name+" type "+l.Kind.Name)
			}
		}
	}
	return unknown
}

// overLabLinks reports whether a program added the route (not the kernel) and all links of
// the route are in the state. A route without links, such as blackhole, counts in hosts only.
func (v *netnsSnapshot) overLabLinks(in rtnl.Route) bool {
	switch {
	case in.Protocol == unix.RTPROT_KERNEL, in.Protocol == unix.RTPROT_RA, in.Protocol == unix.RTPROT_REDIRECT:
		return false
	case in.Type != unix.RTN_UNICAST:
		return v.handle.Name != "" // routes of the machine itself belong to no lab
	}
	for _, h := range in.Hops {
		if !v.inLab[h.Link] {
			return false
		}
	}
	return len(in.Hops) > 0 || v.inLab[in.Link]
}

// surveyIPRules adds the rules of policy routing of a host, other than the kernel's. It returns those that no lab can
// have.
func (r *stateBuilder) surveyIPRules(v *netnsSnapshot) (unknown []string) {
	seen := map[topo.Key]bool{}
	for _, in := range v.ipRules {
		o := v.ipRule(in)
		switch k := o.Key(); {
		case v.handle.Name == "", in.Values[unix.FRA_PROTOCOL] == unix.RTPROT_KERNEL: // the machine's own are of no lab
		case o.Priority == 0, seen[k]:
			unknown = append(unknown, o.String())
		default:
			seen[k] = true
			r.put(o)
		}
	}
	return unknown
}

// tables adds the NAT rules of vnet's tables and of foreign tables. It returns the rules and
// chains that vnet cannot represent.
func (v *netnsSnapshot) tables(r *stateBuilder) (unknown []string, err error) {
	conn, err := v.handle.NFT()
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
			unknown = append(unknown, r.rule(v.handle.Name, rule.Rule)...)
		}
	}
	rules, chains, err := readForeignTables(v.handle, func(table string) bool { return known[table] })
	for _, rule := range rules {
		unknown = append(unknown, r.rule(v.handle.Name, rule)...)
	}
	for _, c := range chains {
		unknown = append(unknown, display.In(v.handle.Name)+"nftables "+c.String())
	}
	return unknown, err
}

// rule adds a NAT rule, or returns one that no lab has: a foreign set element, or
// masquerade for all sources.
func (r *stateBuilder) rule(ns string, rule nft.Rule) (unknown []string) {
	o := convert.Object(ns, rule)
	if m, ok := rule.(nft.Masquerade); o == nil || ok && !m.Source.IsValid() {
		return []string{display.In(ns) + rule.String()}
	}
	r.put(o)
	return nil
}

// readForeignTables calls [ruleset.ReadTables] for the namespace.
func readForeignTables(
	h *netns.Handle, skip func(table string) bool,
) (rules []nft.Rule, rest []ruleset.Chain, err error) {
	err = h.WithFile(func(ns *os.File) error {
		rules, rest, err = ruleset.ReadTables(ns, skip)
		return err
	})
	return rules, rest, err
}
