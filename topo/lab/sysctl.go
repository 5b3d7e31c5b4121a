package lab

import (
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Setting is one sysctl of a host.
type Setting struct {
	Key   string // for example net.ipv4.conf.all.rp_filter; separated by dots or slashes
	Value string

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
	for _, s := range h.Sysctls {
		k.sysctl(h, s)
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
