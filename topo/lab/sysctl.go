package lab

import (
	"fmt"
	"math"
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
	case s.Value == "":
		k.mistakef(s.at, s.Key, "", "sysctl %s of %s has no value", s.Key, h.Name)
	case !display.Printable(strings.ReplaceAll(s.Value, "\t", " ")):
		k.mistakef(s.at, s.Key, "write one line",
			"the value of sysctl %s of %s contains a line break or control character", s.Key, h.Name)
	default:
		k.sysctlLink(h, s)
		k.sysctlOfAllLinks(h, s)
		k.sysctlValue(s)
	}
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
	if path[3] != "all" && path[3] != "default" {
		k.hasDevice(s.at, h, path[3], "sysctl "+s.Key)
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

// isPerLink reports whether there is a sysctl like this for each link: net.ipv4.conf.eth0.rp_filter.
func isPerLink(path []string) bool {
	return len(path) >= 5 && (path[2] == "conf" || path[2] == "neigh")
}

// sysctlRanges are the values that the kernel accepts, for the sysctls where it refuses other numbers. Names of
// sysctls of a link are without the link.
var sysctlRanges = map[string][2]int64{
	"net.ipv4.fib_multipath_hash_policy": {0, 3},
	"net.ipv6.fib_multipath_hash_policy": {0, 3},
	"net.ipv4.ip_default_ttl":            {1, 255},
	"net.ipv6.conf.addr_gen_mode":        {0, 3},
	"net.ipv6.conf.hop_limit":            {1, 255},
	linux.ForwardingIPv4:                 {math.MinInt32, math.MaxInt32},
}

// sysctlValue reports a value that every kernel refuses.
func (k *checker) sysctlValue(s Setting) {
	words := map[string]string{"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0"}
	if number, is := words[strings.ToLower(s.Value)]; is {
		k.mistakef(s.at, s.Value, "write "+number, "sysctl %s: the kernel expects a number, not %q", s.Key, s.Value)
		return
	}
	path := topo.Sysctl{Name: s.Key}.Path()
	perLink := isPerLink(path)
	if perLink {
		path = slices.Concat(path[:3], path[len(path)-1:])
	}
	limits, limited := sysctlRanges[strings.Join(path, ".")]
	if !limited {
		if !perLink || path[3] == "stable_secret" {
			return
		}
		limits = [2]int64{math.MinInt32, math.MaxUint32}
	}
	n, err := strconv.ParseInt(s.Value, 0, 64)
	switch {
	case err != nil:
		k.mistakef(s.at, s.Value, "write a number", "sysctl %s: the kernel expects a number, not %q", s.Key, s.Value)
	case n < limits[0] || n > limits[1]:
		k.mistakef(s.at, s.Value, fmt.Sprintf("write %d to %d", limits[0], limits[1]),
			"sysctl %s: %d is out of range", s.Key, n)
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
