package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nsfs"
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
	for _, s := range e.neededSysctls() {
		path, is, found := e.current(&s)
		if !found || is == s.Value {
			continue
		}
		where := "; a container can be started with this setting"
		if s.NS != "" {
			where = " in " + s.NS
		}
		m := mountOf(path)
		return []Finding{{"read-only", fmt.Sprintf("%s is read-only, and the lab needs %s=%s (it is %s)%s",
			m.path, s.Name, s.Value, is, where), []string{m.writable()}}}, nil
	}
	return nil, nil
}

// neededSysctls returns the settings that up writes in the namespaces that vnet makes and on the machine: those of the
// file, then those of new links.
func (e Examination) neededSysctls() []topo.Sysctl {
	var needed, ofLinks []topo.Sysctl
	adopted := func(ns string) bool {
		n, ok := e.Want[topo.Namespace{Name: ns}.Key()].(topo.Namespace)
		return ok && n.From != ""
	}
	plan := topo.Diff(nil, e.Want)
	modes := plan.IPv6Modes(nil, e.Want)
	for _, step := range plan {
		if s, ok := step.Want.(topo.Sysctl); ok && !adopted(s.NS) {
			needed = append(needed, s)
		}
		for _, l := range step.IPv6Settings(modes, func(ns string) bool { return ns == "" || adopted(ns) }) {
			for _, set := range l.Settings {
				name, value, _ := strings.Cut(set, "=")
				if !l.Optional && !adopted(l.Link.NS) {
					name = linux.LinkSysctl("ipv6", l.Link.Name, name)
					ofLinks = append(ofLinks, topo.Sysctl{NS: l.Link.NS, Name: name, Value: value})
				}
			}
		}
	}
	return append(needed, ofLinks...)
}

// current returns the file and the value of a setting that up cannot write: on the machine, or in a new namespace.
// found is false if up can write it, or if it is not known. A link that does not exist has those of conf.default.
func (e Examination) current(s *topo.Sysctl) (path, is string, found bool) {
	if parts := s.Path(); len(parts) == 5 && (s.NS != "" || !e.exists(sysctlPath(s.Name))) {
		parts[3] = "default"
		s.Name = strings.Join(parts, ".")
	}
	path = e.path(sysctlPath(s.Name))
	if unix.Access(path, unix.W_OK) != unix.EROFS {
		return "", "", false
	}
	read := func() error {
		text, err := os.ReadFile(path)
		is = strings.Join(strings.Fields(string(text)), " ")
		return err
	}
	if s.NS == "" {
		return path, is, read() == nil
	}
	ns, err := nsfs.New()
	if err != nil {
		return "", "", false
	}
	defer ns.Close()
	err = nsfs.Do(ns, read)
	return path, is, err == nil
}

// readOnlyFiles finds that up cannot write the files for the hosts' /etc.
func readOnlyFiles(e Examination) ([]Finding, error) {
	for _, o := range e.Want.Objects() {
		f, ok := o.(topo.File)
		if !ok || e.exists(filepath.Join(nsfs.EtcDir, f.NS, f.Name)) {
			continue
		}
		dir := nsfs.EtcDir
		for !e.exists(dir) {
			dir = filepath.Dir(dir)
		}
		if unix.Access(e.path(dir), unix.W_OK) == unix.EROFS {
			return []Finding{{"read-only", dir + " is read-only, and the lab needs " +
				filepath.Join(nsfs.EtcDir, f.NS, f.Name), []string{mountOf(e.path(dir)).writable()}}}, nil
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
