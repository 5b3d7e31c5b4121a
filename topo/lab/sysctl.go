package lab

import (
	"fmt"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
)

// A Setting is one sysctl of a host.
type Setting struct {
	Key   string // for example net.ipv4.conf.all.rp_filter; separated by dots or slashes
	Value string

	at pos
}

// The compiler adds sysctls last, because they replace those that follow from other keys; see addSysctls.
var sysctlsKey = hostKey{
	read: func(_ *decoder, f *fileHost, h *Host) {
		for _, s := range f.Sysctls {
			h.Sysctls = append(h.Sysctls, Setting(s))
		}
	},
	check: (*checker).sysctls,
	export: func(e *exporter, o topo.Object) {
		if s, ok := o.(topo.Sysctl); ok {
			h := e.host(s.NS)
			h.Sysctls = append(h.Sysctls, Setting{Key: s.Name, Value: s.Value})
		}
	},
	format: func(h *Host, m *mapping) {
		var values mapping
		for _, s := range h.Sysctls {
			values.text(s.Key, s.Value)
		}
		m.sub("sysctls", values)
	},
}

func (k *checker) sysctls(h *Host) {
	for _, s := range h.Sysctls {
		k.sysctl(h, s)
	}
}

// checkSysctls checks the sysctls only, for a topology whose other keys are checked.
func checkSysctls(t *Topology) error {
	k := &checker{mistakeList: mistakeList{src: t.source}, t: t}
	for i := range t.Hosts {
		k.sysctls(&t.Hosts[i])
	}
	return k.err()
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
	}
}

// sysctlLink checks that the host has the link of a sysctl. The machine may have others than the lab's.
func (k *checker) sysctlLink(h *Host, s Setting) {
	path := topo.Sysctl{Name: s.Key}.Path()
	if k.layout == nil || h.Name == topo.Machine || len(path) < 5 || path[2] != "conf" && path[2] != "neigh" {
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

// addSysctls adds the sysctls of the file. They replace those made so far.
func (c *compiler) addSysctls() {
	for i := range c.t.Hosts {
		h := &c.t.Hosts[i]
		for _, s := range h.Sysctls {
			c.state.Put(topo.Sysctl{NS: topo.NSOf(h.Name), Name: s.Key, Value: s.Value})
		}
	}
}
