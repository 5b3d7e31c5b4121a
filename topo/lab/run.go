package lab

import (
	"strings"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

var runKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) { h.Run = f.Run },
	check: func(k *checker, h *Host) {
		for _, c := range h.Run {
			if strings.TrimSpace(c) == "" {
				k.mistakef(h.at, "run", "write a shell command", "%s: run has an empty command", h.Name)
			}
		}
	},
	compile: func(c *compiler, h *Host) {
		for _, cmd := range h.Run {
			c.put(topo.Process{NS: topo.NSOf(h.Name), Command: cmd})
		}
	},
	export: func(e *exporter, o topo.Object) {
		if p, ok := o.(topo.Process); ok {
			h := e.host(p.NS)
			h.Run = append(h.Run, p.Command)
		}
	},
	format: func(h *Host, m *syntax.Mapping) { m.List("run", h.Run) },
}
