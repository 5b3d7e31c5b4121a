package doctor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live"
)

// userNamespaces finds what keeps users other than root from making user namespaces, which vnet sandbox needs.
func userNamespaces(e Examination) (list []Finding, err error) {
	for _, s := range []struct {
		key         string
		bad, remedy int
	}{
		{"user.max_user_namespaces", 0, 15000},
		{"kernel.unprivileged_userns_clone", 0, 1}, // a patch of Debian
		{"kernel.apparmor_restrict_unprivileged_userns", 1, 0},
	} {
		if n, ok := e.sysctl(s.key); ok && n == s.bad {
			list = append(list, Finding{"user-namespaces",
				fmt.Sprintf("%s is %d: vnet sandbox and vnet demo work for root only", s.key, n),
				[]string{setting(s.key, s.remedy)}})
		}
	}
	return list, nil
}

// readOnlySysctls finds settings of the lab that up cannot write, as in a container.
func readOnlySysctls(e Examination) (list []Finding, err error) {
	for _, o := range e.Want.Objects() {
		s, ok := o.(topo.Sysctl)
		if !ok || s.NS != "" {
			continue
		}
		n, ok := e.sysctl(s.Name)
		if !ok || strconv.Itoa(n) == s.Value {
			continue
		}
		var at unix.Statfs_t
		err := unix.Statfs(e.path("/proc/sys"), &at)
		if err == nil && at.Flags&unix.ST_RDONLY != 0 {
			text := fmt.Sprintf("/proc/sys is read-only, and the lab needs %s=%s (it is %d); "+
				"a container can be started with this setting", s.Name, s.Value, n)
			return []Finding{{"read-only", text, []string{"mount -o remount,bind,rw /proc/sys"}}}, nil
		}
	}
	return nil, nil
}

// features finds what the kernel lacks for the lab.
func features(e Examination) ([]Finding, error) {
	missing, err := live.MissingFeatures(topo.Diff(nil, e.Want))
	if err != nil || missing == nil {
		return nil, err
	}
	f := Finding{Topic: "kernel", Text: missing.Error()}
	for _, name := range missing.Features {
		f.Remedy = append(f.Remedy, "modprobe "+module(name))
	}
	return []Finding{f}, nil
}

// module returns the kernel module of a feature.
func module(feature string) string {
	switch feature {
	case "vlan":
		return "8021q"
	case linux.FeatureNetem:
		return "sch_netem"
	case linux.FeatureFlowtable:
		return "nf_flow_table_inet"
	case "IPv6":
		return "ipv6"
	}
	return feature
}

// firewall finds foreign chains that drop what labs forward.
func firewall(e Examination) ([]Finding, error) {
	conn, err := nft.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	drops, err := live.ForeignDrops(conn)
	var list []Finding
	for _, c := range drops {
		remedy := acceptLabs(c)
		if c.Family == "bridge" {
			if remedy = e.acceptBridges(c); remedy == nil {
				continue // the lab has no bridge ports on the machine
			}
		}
		what := "forwarded packets, also those of labs"
		if n, ok := e.sysctl("net.bridge.bridge-nf-call-iptables"); ok && n == 1 && c.Family != "bridge" {
			what += ", and packets between hosts of one network, because net.bridge.bridge-nf-call-iptables is 1"
		}
		list = append(list, Finding{"firewall", c.String() + " drops " + what, remedy})
	}
	return list, err
}

// acceptBridges returns the commands that let packets from the lab's ports of bridges pass a chain.
func (e Examination) acceptBridges(c ruleset.Chain) []string {
	var ports []string
	for _, o := range e.Want.Objects() {
		v, _ := o.(topo.Veth)
		for _, end := range v.Ends {
			if end.NS == "" && end.Master != "" {
				ports = append(ports, fmt.Sprintf("%q", end.Name))
			}
		}
	}
	if len(ports) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("nft 'insert rule bridge %s %s iifname { %s } accept'", c.Table, c.Name,
		strings.Join(ports, ", "))}
}

// acceptLabs returns the commands that let the packets of labs pass a chain. vnet's links on the machine have a group.
func acceptLabs(c ruleset.Chain) (commands []string) {
	tool := "iptables"
	if c.Family == "ip6" {
		tool = "ip6tables"
	}
	if c.Legacy {
		tool += "-legacy"
	} else {
		tool += "-nft"
	}
	// Not with nft: afterwards, iptables could no longer show the chain.
	ofIptables := c.Legacy || c.Table == "filter" && c.Name == "FORWARD" && c.Family != "inet" && c.Family != "bridge"
	for _, direction := range []string{"src", "dst"} {
		if ofIptables {
			table := ""
			if c.Table != "filter" {
				table = " -t " + c.Table
			}
			commands = append(commands, fmt.Sprintf("%s%s -I FORWARD -m devgroup --%s-group %#x -j ACCEPT", tool, table,
				direction, nft.LinkGroup))
			continue
		}
		link := map[string]string{"src": "iifgroup", "dst": "oifgroup"}[direction]
		commands = append(commands, fmt.Sprintf("nft insert rule %s %s %s %s %#x accept", c.Family, quoted(c.Table),
			quoted(c.Name), link, nft.LinkGroup))
	}
	return commands
}

// reversePath finds a strict rp_filter on a machine with default routes by several links.
func reversePath(e Examination) ([]Finding, error) {
	links, _, err := live.Machine{}.DefaultRouteLinks()
	if err != nil || len(links) < 2 {
		return nil, err
	}
	all, ok := e.sysctl("net.ipv4.conf.all.rp_filter")
	if !ok || all > 1 {
		return nil, nil
	}
	for _, link := range links {
		if n, _ := e.sysctl("net/ipv4/conf/" + link + "/rp_filter"); max(n, all) == 1 {
			text := fmt.Sprintf("rp_filter is strict on %s, and there are default routes by %d links: "+
				"replies that arrive on a link other than the route's are dropped", link, len(links))
			return []Finding{{"rp_filter", text, []string{setting("net.ipv4.conf.all.rp_filter", 2)}}}, nil
		}
	}
	return nil, nil
}

// conntrack finds a table of connections that is nearly full.
func conntrack(e Examination) ([]Finding, error) {
	count, ok := e.sysctl("net.netfilter.nf_conntrack_count")
	if !ok {
		return nil, nil
	}
	return e.tooSmall("conntrack", "net.netfilter.nf_conntrack_max", count+count/4+1,
		fmt.Sprintf("with %d connections, the table is nearly full, and then new ones are dropped", count)), nil
}

// neighbourTables finds limits of neighbour entries that are too small for the lab. All namespaces together may not
// exceed them. A host has an entry for its gateway, and the gateway has one for the host.
func neighbourTables(e Examination) (list []Finding, err error) {
	needed := 2 * e.hosts()
	for _, family := range []string{"ipv4", "ipv6"} {
		list = append(list, e.tooSmall("neighbours", "net."+family+".neigh.default.gc_thresh3", needed,
			fmt.Sprintf("the lab can need %d neighbour entries at once", needed))...)
	}
	return list, nil
}

// backlog finds a queue of received packets that is shorter than the number of ports of a bridge: each broadcast puts
// one packet per port into the queue.
func backlog(e Examination) ([]Finding, error) {
	ports := map[topo.Key]int{}
	most := 0
	for _, o := range e.Want {
		v, _ := o.(topo.Veth)
		for _, end := range v.Ends {
			if end.Master != "" {
				bridge := topo.Key{NS: end.NS, Name: end.Master}
				ports[bridge]++
				most = max(most, ports[bridge])
			}
		}
	}
	return e.tooSmall("backlog", "net.core.netdev_max_backlog", most,
		fmt.Sprintf("a broadcast in a network of %d hosts does not reach all of them", most)), nil
}

// openFiles finds a limit of open files that is too small for the lab.
func openFiles(e Examination) ([]Finding, error) {
	if e.Want == nil {
		return nil, nil
	}
	needed := live.OpenFiles(topo.Diff(nil, e.Want))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, os.NewSyscallError("getrlimit", err)
	}
	if limit.Cur >= uint64(needed) {
		return nil, nil
	}
	return []Finding{{"open-files", fmt.Sprintf("the lab needs %d open files, and the limit is %d", needed, limit.Cur),
		[]string{fmt.Sprintf("prlimit --pid $$ --nofile=%d:%d", max(needed, 65536), max(needed, 65536))}}}, nil
}

// leftovers finds parts of labs that are left after a crash, or after another program deleted the rest.
func leftovers(Examination) (list []Finding, err error) {
	empty, labsErr := live.EmptyLabs()
	for _, lab := range empty {
		list = append(list, Finding{"left-over", "lab " + lab +
			" has neither hosts nor links any more, but objects are left of it",
			[]string{"vnet down " + lab}})
	}
	stale, namesErr := live.StaleNames(empty)
	for _, name := range stale {
		list = append(list, Finding{"left-over", "the name " + name + " has no namespace any more",
			[]string{"vnet netns delete " + quoted(name)}})
	}
	conn, err := nft.Dial(nil)
	if err != nil {
		return list, err
	}
	defer conn.Close()
	tables, err := conn.Tables()
	if slices.Contains(tables, ruleset.TraceTable) {
		list = append(list, Finding{"left-over", "a vnet verify that was killed left the table " + ruleset.TraceTable +
			", which traces packets", []string{"nft delete table inet " + ruleset.TraceTable}})
	}
	return list, errors.Join(labsErr, namesErr, err)
}

// quoted returns a name as one word of a shell command. Other programs chose the name, so it may contain anything.
func quoted(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
