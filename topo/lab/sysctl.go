package lab

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Setting is one sysctl of a host.
type Setting struct {
	Key   string // for example net.ipv4.conf.all.rp_filter; separated by dots or slashes
	Value string // as written to /proc/sys

	at syntax.Pos
}

// The compiler adds sysctls last, because they replace those that follow from other keys; see addSysctls.
var sysctlsKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) {
		for _, s := range f.Sysctls {
			h.Sysctls = append(h.Sysctls, Setting{Key: s.Key, Value: s.Value, at: s.At})
		}
	},
	check: (*checker).sysctls,
	export: func(e *exporter, o topo.Object) {
		if s, ok := o.(topo.Sysctl); ok {
			h := e.host(s.NS)
			h.Sysctls = append(h.Sysctls, Setting{Key: s.Name, Value: s.Value})
		}
	},
	format: func(h *Host, m *syntax.Mapping) {
		var values syntax.Mapping
		for _, s := range h.Sysctls {
			values.Text(s.Key, s.Value)
		}
		m.Sub("sysctls", values)
	},
}

func (k *checker) sysctls(h *Host) {
	values := make(map[string]topo.Sysctl, len(h.Sysctls))
	for _, s := range h.Sysctls {
		k.sysctl(h, s)
		o := topo.Normalize(topo.Sysctl{Name: s.Key, Value: s.Value}).(topo.Sysctl)
		if was, twice := values[o.Name]; twice && was != o {
			k.mistakef(s.at, s.Key, "write it once", "sysctl %s of %s has two values: %s and %s",
				o.Name, h.Name, was.Value, o.Value)
		}
		values[o.Name] = o
	}
	k.disabledIPv6(h, values)
	k.fragmentMemory(h, values)
}

// written returns the setting of the file with a normal name.
func (h *Host) written(name string) Setting {
	return h.Sysctls[slices.IndexFunc(h.Sysctls, func(o Setting) bool {
		return topo.Normalize(topo.Sysctl{Name: o.Key}).(topo.Sysctl).Name == name
	})]
}

// fragmentMemory checks the limits of the memory for fragments: the kernel refuses a lower one above the upper one.
func (k *checker) fragmentMemory(h *Host, values map[string]topo.Sysctl) {
	for _, prefix := range []string{"net.ipv4.ipfrag", "net.ipv6.ip6frag", "net.netfilter.nf_conntrack_frag6"} {
		low, hasLow := values[prefix+"_low_thresh"]
		high, hasHigh := values[prefix+"_high_thresh"]
		if h.Name != topo.Machine && !k.isAdopted(h.Name) { // a new namespace has these values
			low.Value, high.Value = cmp.Or(low.Value, "3145728"), cmp.Or(high.Value, "4194304")
		}
		l, lowErr := strconv.ParseInt(low.Value, 10, 64)
		u, highErr := strconv.ParseInt(high.Value, 10, 64)
		if !hasLow && !hasHigh || lowErr != nil || highErr != nil || l <= u || u < 0 {
			continue
		}
		s := h.written(cmp.Or(low.Name, high.Name))
		k.mistakef(s.at, s.Value, "write both of them", "sysctl %s of %s: low_thresh is %d, more than high_thresh, %d",
			s.Key, displayName(h.Name), l, u)
	}
}

// disabledIPv6 reports links that have IPv6 addresses in the file, and a sysctl that disables IPv6.
func (k *checker) disabledIPv6(h *Host, values map[string]topo.Sysctl) {
	for _, n := range k.layout.ByHost[h.Name] {
		i := &k.layout.Ifaces[n]
		at := slices.IndexFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
		s, set := values[linux.LinkSysctl("ipv6", i.Name, "disable_ipv6")]
		if !set {
			s, set = values[linux.LinkSysctl("ipv6", "all", "disable_ipv6")]
		}
		if at < 0 || !set || s.Value == "0" {
			continue
		}
		of := h.written(s.Name)
		k.mistakef(of.at, of.Key, "remove it, or the address; address: none gives a host no address",
			"sysctl %s: without IPv6, %s of %s cannot have the address %s", s.Name, i.Name, displayName(h.Name), i.Addrs[at])
	}
}

func (k *checker) sysctl(h *Host, s Setting) {
	key := strings.ReplaceAll(s.Key, "/", ".")
	switch {
	case !strings.HasPrefix(key, "net."):
		k.mistakef(s.at, s.Key, "only sysctls that begin with net. belong to a network namespace",
			"sysctl %s applies to the whole machine", s.Key)
	case strings.Contains(s.Key, "..") || strings.Contains(s.Key, " ") ||
		!display.Printable(s.Key) || strings.HasSuffix(key, "."):
		k.mistakef(s.at, s.Key, "", "%q is not a valid sysctl name", s.Key)
	case isMixed(topo.Sysctl{Name: s.Key}.Path()):
		k.mistakef(s.at, s.Key, "write "+strings.ReplaceAll(s.Key, "/", "."), "sysctl %s has dots and slashes", s.Key)
	case isDirectory(topo.Sysctl{Name: s.Key}.Path()):
		k.mistakef(s.at, s.Key, "write one of the settings in it", "sysctl %s is not a setting, but a directory", s.Key)
	case s.Value == "":
		k.mistakef(s.at, s.Key, "", "sysctl %s of %s has no value", s.Key, h.Name)
	case !display.Printable(strings.ReplaceAll(s.Value, "\t", " ")):
		k.mistakef(s.at, s.Key, "write one line",
			"the value of sysctl %s of %s contains a line break or control character", s.Key, h.Name)
	default:
		k.sysctlLink(h, s)
		k.sysctlOfAllLinks(h, s)
		k.stableSecret(h, s)
		k.sysctlValue(s)
	}
}

// isMixed reports whether a part of a sysctl's name other than a link's contains a dot.
func isMixed(path []string) bool {
	for i, part := range path {
		if strings.Contains(part, ".") && (i != 3 || !isPerLink(path)) {
			return true
		}
	}
	return false
}

// isDirectory reports whether a name is that of a directory with sysctls.
func isDirectory(path []string) bool {
	if len(path) == 2 {
		return slices.Contains([]string{"core", "ipv4", "ipv6", "netfilter"}, path[1])
	}
	ip := path[1] == "ipv4" || path[1] == "ipv6"
	return ip && len(path) >= 3 && len(path) < 5 && (path[2] == "conf" || path[2] == "neigh")
}

// sysctlLink checks that the host has the link of a sysctl. The machine may have others than the lab's.
func (k *checker) sysctlLink(h *Host, s Setting) {
	path := topo.Sysctl{Name: s.Key}.Path()
	if h.Name == topo.Machine || !isPerLink(path) {
		return
	}
	if link := strings.Join(path[3:len(path)-1], "."); len(path) > 5 {
		slashes := strings.ReplaceAll(link, ".", "/")
		k.mistakef(s.at, s.Key, fmt.Sprintf("write %s instead of %s", slashes, link),
			"sysctl %s: a dot in a link's name is written as a slash", s.Key)
		return
	}
	if path[3] != "all" && path[3] != "default" && k.hasDevice(s.at, h, path[3], "sysctl "+s.Key) {
		k.sysctlMTU(h, s, path)
	}
}

// sysctlMTU reports an MTU for IPv6 that is not that of the link: the kernel sets it to that of the link when the link
// becomes up.
func (k *checker) sysctlMTU(h *Host, s Setting, path []string) {
	if path[1] != "ipv6" || path[4] != "mtu" {
		return
	}
	for _, n := range k.layout.ByHost[h.Name] {
		i := &k.layout.Ifaces[n]
		if mtu := strconv.Itoa(k.layout.mtuOf(i)); i.Name == path[3] && s.Value != mtu && !i.IsLoopback() {
			k.mistakef(s.at, s.Value, "write the key mtu, for the link",
				"sysctl %s: the kernel resets it to the mtu of the link, %s", s.Key, mtu)
		}
	}
}

// sysctlsOfAllLinks are sysctls under net.ipv6.conf with which the kernel also sets the same sysctl of each link, or
// something else that each link has; see net/ipv6/addrconf.c.
var sysctlsOfAllLinks = []string{
	"all addr_gen_mode", "all disable_ipv6", "all disable_policy", "all force_forwarding",
	"all ignore_routes_with_linkdown",
	"default stable_secret", // sets addr_gen_mode
}

// sysctlOfAllLinks reports a sysctl that also changes links which are not the lab's. down restores only the former
// value of the sysctl itself.
func (k *checker) sysctlOfAllLinks(h *Host, s Setting) {
	link, name, _ := topo.Sysctl{Name: s.Key}.IPv6Link()
	if slices.Contains(sysctlsOfAllLinks, link+" "+name) && (h.Name == topo.Machine || k.isAdopted(h.Name)) {
		k.mistakef(s.at, s.Key, "write it for each link that needs it: net.ipv6.conf.LINK."+name,
			"sysctl %s changes all links of %s, and down cannot restore them", s.Key, displayName(h.Name))
	}
}

// stableSecret checks a secret for link-local addresses: an IPv6 address, which nobody can remove from a link again.
// The mode 2 of addr_gen_mode needs one.
func (k *checker) stableSecret(h *Host, s Setting) {
	link, name, _ := topo.Sysctl{Name: s.Key}.IPv6Link()
	foreign, links := h.Name == topo.Machine || k.isAdopted(h.Name), link != "all" && link != "default"
	a, err := netip.ParseAddr(s.Value)
	switch {
	case name == "addr_gen_mode" && s.Value == "2" && links && !foreign && !h.hasDefaultSecret():
		k.mistakef(s.at, s.Value, "write stable_secret instead: it also sets addr_gen_mode to 2",
			"sysctl %s: 2 needs a secret", s.Key)
	case name != "stable_secret":
	case err != nil || !a.Is6():
		k.mistakef(s.at, s.Value, "write a random IPv6 address",
			"sysctl %s: the kernel expects an IPv6 address, not %q", s.Key, s.Value)
	case foreign && link != "default" && !slices.Contains(k.deviceNames(h.Name), link):
		k.mistakef(s.at, s.Key, "remove it",
			"sysctl %s: down cannot remove a secret from a link that is not the lab's", s.Key)
	}
}

// hasDefaultSecret reports whether the file has a secret for all links of the host.
func (h *Host) hasDefaultSecret() bool {
	return slices.ContainsFunc(h.Sysctls, func(s Setting) bool {
		link, name, _ := topo.Sysctl{Name: s.Key}.IPv6Link()
		return link == "default" && name == "stable_secret"
	})
}

// isPerLink reports whether there is a sysctl like this for each link: net.ipv4.conf.eth0.rp_filter.
func isPerLink(path []string) bool {
	return len(path) >= 5 && (path[2] == "conf" || path[2] == "neigh")
}

// A sysctlForm is what the kernel accepts as the value of a sysctl: how many numbers, and from where to where.
type sysctlForm struct {
	count  int
	lo, hi int64
}

var (
	oneInt  = sysctlForm{1, math.MinInt32, math.MaxInt32}
	oneLong = sysctlForm{1, math.MinInt64, math.MaxInt64}
)

// sysctlForms are forms of sysctls that all kernels have in common. Names of sysctls of a link are without the link.
// The form of net.ipv4.conf is that of all below it.
var sysctlForms = map[string]sysctlForm{
	"net.core.somaxconn":                 oneInt,
	"net.ipv4.conf":                      oneInt,
	"net.ipv4.fib_multipath_hash_policy": {1, 0, 3},
	"net.ipv4.ip_default_ttl":            {1, 1, 255},
	"net.ipv4.ipfrag_high_thresh":        {1, 0, math.MaxInt64},
	"net.ipv4.ipfrag_low_thresh":         {1, 0, math.MaxInt64},
	"net.ipv4.ip_local_port_range":       {2, 1, 65535},
	"net.ipv4.neigh":                     oneInt,
	"net.ipv4.ping_group_range":          {2, 0, math.MaxUint32 - 1},
	"net.ipv4.tcp_rmem":                  {3, 1, math.MaxInt32},
	"net.ipv4.tcp_wmem":                  {3, 1, math.MaxInt32},
	"net.ipv6.conf":                      oneInt,
	"net.ipv6.conf.addr_gen_mode":        {1, 0, 3},
	"net.ipv6.conf.hop_limit":            {1, 1, 255},
	"net.ipv6.conf.ioam6_id":             {1, 0, math.MaxUint16},
	"net.ipv6.conf.ioam6_id_wide":        {1, 0, math.MaxUint32},
	"net.ipv6.conf.mtu":                  {1, 1280, math.MaxInt32},
	"net.ipv6.conf.ra_defrtr_metric":     {1, 1, math.MaxUint32},
	"net.ipv6.fib_multipath_hash_policy": {1, 0, 3},
	"net.ipv6.ip6frag_high_thresh":       {1, 0, math.MaxInt64},
	"net.ipv6.ip6frag_low_thresh":        {1, 0, math.MaxInt64},
	"net.ipv6.neigh":                     oneInt,
	linux.ForwardingIPv4:                 oneInt,

	// no numbers
	"net.ipv4.tcp_allowed_congestion_control": {},
	"net.ipv4.tcp_congestion_control":         {},
	"net.ipv4.tcp_fastopen_key":               {},
	"net.ipv4.tcp_mem":                        {}, // of the machine
	"net.ipv6.conf.stable_secret":             {},
}

// formOf returns the form of a sysctl; zero if it is unknown, or no number. path is without the link.
func formOf(path []string) sysctlForm {
	name := strings.Join(path, ".")
	if form, ok := sysctlForms[name]; ok {
		return form
	}
	if form, ok := sysctlForms[strings.Join(path[:len(path)-1], ".")]; ok {
		return form
	}
	for _, prefix := range []string{"icmp_", "igmp_", "tcp_", "nf_conntrack_"} {
		if len(path) == 3 && path[1] != "ipv6" && strings.HasPrefix(path[2], prefix) {
			return oneLong
		}
	}
	return sysctlForm{}
}

// sysctlsNotSet are the names of sysctls that no kernel lets anyone set, or that are not settings.
var sysctlsNotSet = []string{
	"net.ipv4.conf.mc_forwarding", "net.ipv6.conf.mc_forwarding", "net.ipv4.tcp_available_congestion_control",
	"net.ipv4.tcp_available_ulp", "net.ipv4.tcp_ehash_entries", "net.ipv4.udp_hash_entries",
	"net.netfilter.nf_conntrack_count", "net.ipv4.route.flush", "net.ipv6.route.flush",
}

// sysctlValue reports a value that every kernel refuses, or of which it ignores a part.
func (k *checker) sysctlValue(s Setting) {
	words := map[string]string{"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0"}
	if number, is := words[strings.ToLower(s.Value)]; is {
		k.mistakef(s.at, s.Value, "write "+number, "sysctl %s: the kernel expects a number, not %q", s.Key, s.Value)
		return
	}
	path := topo.Sysctl{Name: s.Key}.Path()
	if isPerLink(path) {
		path = slices.Concat(path[:3], path[len(path)-1:])
	}
	if slices.Contains(sysctlsNotSet, strings.Join(path, ".")) {
		k.mistakef(s.at, s.Key, "remove it", "sysctl %s is not a setting: the kernel lets nobody write it", s.Key)
		return
	}
	switch strings.Join(path, ".") {
	case linux.ReservedPorts:
		k.reservedPorts(s)
	case "net.ipv4.tcp_fastopen_key":
		k.fastopenKey(s)
	}
	if form := formOf(path); form.count > 0 {
		k.sysctlNumbers(s, form)
	}
}

// fastopenKey checks one key or two, as the kernel prints them. It reads other forms as another key.
func (k *checker) fastopenKey(s Setting) {
	keys := strings.Split(s.Value, ",")
	wrong := len(keys) > 2
	for _, key := range keys {
		groups := strings.Split(key, "-")
		wrong = wrong || len(groups) != 4 || slices.ContainsFunc(groups, func(g string) bool {
			return len(g) != 8 || strings.Trim(g, "0123456789abcdef") != ""
		})
	}
	if wrong {
		const such = "00112233-44556677-8899aabb-ccddeeff"
		k.mistakef(s.at, s.Value, "write four groups of eight hexadecimal digits, such as "+such,
			"sysctl %s: %q is not a key", s.Key, s.Value)
	}
}

// reservedPorts checks a list of ports and ranges.
func (k *checker) reservedPorts(s Setting) {
	for _, port := range strings.FieldsFunc(s.Value, func(r rune) bool { return r == ',' || r == '-' }) {
		if _, err := strconv.ParseUint(port, 0, 16); err != nil {
			k.mistakef(s.at, s.Value, `write ports and ranges, such as "8080,9000-9010"`,
				"sysctl %s: %q is not a port", s.Key, port)
			return
		}
	}
}

// sysctlNumbers checks a value that is one number or several.
func (k *checker) sysctlNumbers(s Setting, form sysctlForm) {
	o := topo.Normalize(topo.Sysctl{Name: s.Key, Value: s.Value}).(topo.Sysctl)
	values := strings.Fields(o.Value)
	if len(values) != form.count && form.count > 1 {
		k.mistakef(s.at, s.Value, fmt.Sprintf("write %d numbers", form.count),
			"sysctl %s: the kernel expects %d numbers, not %q", s.Key, form.count, s.Value)
		return
	}
	last := int64(math.MinInt64)
	for _, v := range values {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil || len(values) > form.count || strconv.FormatInt(n, 10) != v:
			k.mistakef(s.at, s.Value, "write a number", "sysctl %s: the kernel expects a number, not %q", s.Key, s.Value)
			return
		case n < form.lo || n > form.hi:
			k.mistakef(s.at, s.Value, fmt.Sprintf("write %d to %d", form.lo, form.hi),
				"sysctl %s: %d is out of range", s.Key, n)
		case n < last && o.Name == "net.ipv4.ip_local_port_range":
			k.mistakef(s.at, s.Value, "write the smaller number first", "sysctl %s: no number is in %s", s.Key, s.Value)
		}
		last = n
	}
}

// addSysctls adds the sysctls of the file. They replace those made so far.
func (c *compiler) addSysctls() {
	for i := range c.t.Hosts {
		h := &c.t.Hosts[i]
		for _, s := range h.Sysctls {
			c.state.Put(topo.Sysctl{NS: topo.NSOf(h.Name), Name: s.Key, Value: s.Value})
		}
	}
}
