package lab

import (
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

// addSysctls adds the sysctls of the file. They replace those made so far.
func (c *compiler) addSysctls() {
	for i := range c.t.Hosts {
		h := &c.t.Hosts[i]
		for _, s := range h.Sysctls {
			c.state.Put(topo.Sysctl{NS: topo.NSOf(h.Name), Name: s.Key, Value: s.Value})
		}
	}
}
