package lab

import (
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
)

// differences removes sysctls from t that follow from other keys. It returns the
// differences between the state and the compiled t.
func (e *exporter) differences(t *Topology) []string {
	made, err := e.compileWithoutImplied(t)
	if err != nil {
		return strings.Split(err.Error(), "\n")
	}
	if made.Equal(e.state) {
		return nil // the usual case; sorting the objects of made takes longer than compiling them
	}
	var lines []string
	for _, o := range e.objects {
		if made[o.Key()] != o && o.Key().Kind != topo.OfAddrGen {
			lines = append(lines, "- "+o.String())
		}
	}
	protected := slices.ContainsFunc(e.objects, isProtection)
	for _, o := range made.Objects() {
		if e.state[o.Key()] != o && o.Key().Kind != topo.OfAddrGen && (protected || !isProtection(o)) {
			lines = append(lines, "+ "+o.String())
		}
	}
	return lines
}

// compileWithoutImplied compiles t. First it removes the sysctls from t that compiling t makes
// anyway, and sets Router instead of the sysctls for forwarding. This does not change the layout.
func (e *exporter) compileWithoutImplied(t *Topology) (topo.State, error) {
	l, err := checkedLayout(t)
	if err != nil {
		e.setRouters(t, nil)
		return nil, err
	}
	settings := make([][]Setting, len(t.Hosts))
	for i := range t.Hosts {
		settings[i], t.Hosts[i].Sysctls = t.Hosts[i].Sysctls, nil
	}
	c := newCompiler(l)
	c.knownHostsFile = e.hostsFile
	c.objects()
	c.forwarding()
	e.setRouters(t, c.state)
	c.forwarding()
	for i := range t.Hosts {
		for _, s := range settings[i] {
			o := topo.Normalize(topo.Sysctl{NS: topo.NSOf(t.Hosts[i].Name), Name: s.Key, Value: s.Value})
			if c.state[o.Key()] != o {
				t.Hosts[i].Sysctls = append(t.Hosts[i].Sysctls, s)
			}
		}
	}
	return c.complete()
}

// setRouters sets Router for hosts that forward packets and are not a gateway. implied is the
// state that t compiles to without Router.
func (e *exporter) setRouters(t *Topology, implied topo.State) {
	for i := range t.Hosts {
		for _, key := range []string{linux.ForwardingIPv4, linux.ForwardingIPv6} {
			k := topo.Sysctl{NS: topo.NSOf(t.Hosts[i].Name), Name: key}.Key()
			if s, ok := e.state[k].(topo.Sysctl); ok && s.Value == "1" && implied[k] == nil {
				t.Hosts[i].Router = true
			}
		}
	}
}
