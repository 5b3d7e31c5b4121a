package lab

import (
	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// compile_nat.go compiles and export_nat.go exports it, together with nat of networks and ports of hosts.
var routerKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) {
		h.Router, h.NAT = f.Router.on, f.Router.NAT
		for _, p := range f.Router.Ports {
			h.Forwards = append(h.Forwards, p.Forward)
		}
	},
	check: func(k *checker, h *Host) {
		for _, p := range h.NAT {
			if p != p.Masked() {
				k.mistakef(h.at, p.String(), "write "+p.Masked().String(), "nat %s has bits set after the prefix length", p)
			}
		}
	},
	format: func(h *Host, m *syntax.Mapping) {
		var keys syntax.Mapping
		keys.List("nat", display.Prefixes(h.NAT))
		keys.List("ports", display.Texts(h.Forwards, Forward.String))
		if len(keys) == 0 {
			m.Flag("router", h.Router)
		}
		m.Sub("router", keys)
	},
}

func (r *router) Read(d *syntax.Decoder, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && !syntax.IsNull(n) {
		d.Value(n, &r.on)
		return
	}
	r.on = true
	d.Value(n, &r.fileRouter)
}
