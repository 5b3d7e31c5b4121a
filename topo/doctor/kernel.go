package doctor

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
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
				e.setting(s.key, s.remedy)})
		}
	}
	return list, nil
}

// readOnlySysctls finds settings of the lab that have another value and that up cannot write, as in a container.
func readOnlySysctls(e Examination) (list []Finding, err error) {
	for _, o := range e.Want.Objects() {
		s, ok := o.(topo.Sysctl)
		if !ok || s.NS != "" {
			continue
		}
		path := e.path(sysctlPath(s.Name))
		text, err := os.ReadFile(path)
		is := strings.Join(strings.Fields(string(text)), " ")
		if err != nil || is == s.Value || unix.Access(path, unix.W_OK) != unix.EROFS {
			continue
		}
		m := mountOf(path)
		return []Finding{{"read-only", fmt.Sprintf("%s is read-only, and the lab needs %s=%s (it is %s); "+
			"a container can be started with this setting", m.path, s.Name, s.Value, is), []string{m.writable()}}}, nil
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
		if n, _ := e.sysctl(linux.LinkSysctl("ipv4", link, "rp_filter")); max(n, all) == 1 {
			text := fmt.Sprintf("rp_filter is strict on %s, and there are default routes by %d links: "+
				"replies that arrive on a link other than the route's are dropped", link, len(links))
			return []Finding{{"rp_filter", text, e.setting("net.ipv4.conf.all.rp_filter", 2)}}, nil
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
	enough := max(needed, 65536)
	var remedy []string
	if n, ok := e.sysctl("fs.nr_open"); ok && n < enough {
		remedy = e.setting("fs.nr_open", enough)
	}
	remedy = append(remedy, fmt.Sprintf("prlimit --pid $$ --nofile=%d:%d", enough, max(uint64(enough), limit.Max)))
	return []Finding{{"open-files", fmt.Sprintf("the lab needs %d open files, and the limit is %d", needed, limit.Cur),
		remedy}}, nil
}
