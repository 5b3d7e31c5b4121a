package lab

import (
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Host is a network namespace and its content. The host named [topo.Machine] is
// the machine itself: its networks, devices, routes and settings are added to
// the existing ones.
type Host struct {
	Name       string
	Namespace  string        // an existing namespace to adopt: a name, a path or a pid; "" means a new one
	Networks   []Attachment  // eth0, eth1 … in this order
	Devices    []Device      // other devices, made in this order
	Ports      []Forward     // ports that its gateway forwards to it
	Routes     []StaticRoute // in addition to the default route
	Rules      []StaticRule  // of policy routing, in this order
	Neighbours []StaticNeigh
	Sysctls    []Setting      // in the order of the file
	Aliases    []string       // other names in the hosts' /etc/hosts
	DNS        DNS            // its /etc/resolv.conf
	Router     bool           // it forwards packets; a gateway does so without it
	NAT        []netip.Prefix // sources that it masquerades
	Forwards   []Forward      // ports that it forwards to other hosts
	Run        []string       // shell commands that up starts and down stops

	at syntax.Pos
}

// NamespaceOf returns the namespace of a host, as [Compile] makes it.
func (t *Topology) NamespaceOf(host string) topo.Namespace {
	for i := range t.Hosts {
		if h := &t.Hosts[i]; h.Name == host {
			return topo.Namespace{Name: host, From: h.Namespace}
		}
	}
	return topo.Namespace{Name: host}
}

// A hostKey is everything that vnet does with one key of a host in the lab file. A function is nil
// if there is nothing to do. Each hostKey is in a file of its own, or in the file of its values.
type hostKey struct {
	read    func(d *syntax.Decoder, f *fileHost, h *Host) // from the lab file
	check   func(k *checker, h *Host)
	compile func(c *compiler, h *Host)       // adds its objects to the state
	export  func(e *exporter, o topo.Object) // the reverse of compile: adds o to its host if o is of this key
	format  func(h *Host, m *syntax.Mapping) // as a lab file
}

// hostKeys are the keys of a host, in the order in which Format writes them.
var hostKeys = []hostKey{
	namespaceKey, networksKey, portsKey, routesKey, rulesKey, neighboursKey, sysctlsKey, aliasesKey, dnsKey, routerKey,
	devicesKey, runKey,
}

func (h *fileHost) host(d *syntax.Decoder, name string, at syntax.Pos) Host {
	host := Host{Name: name, at: at}
	for i := range hostKeys {
		hostKeys[i].read(d, h, &host)
	}
	return host
}

func (h *Host) format() (m syntax.Mapping) {
	for i := range hostKeys {
		hostKeys[i].format(h, &m)
	}
	return m
}

func (k *checker) host(h *Host) {
	for i := range hostKeys {
		if check := hostKeys[i].check; check != nil {
			check(k, h)
		}
	}
}

func (c *compiler) host(h *Host) {
	for i := range hostKeys {
		if compile := hostKeys[i].compile; compile != nil {
			compile(c, h)
		}
	}
}

// hostKey adds an object to its host if one of hostKeys exports it.
func (e *exporter) hostKey(o topo.Object) {
	for i := range hostKeys {
		if export := hostKeys[i].export; export != nil {
			export(e, o)
		}
	}
}

// notOnMachine checks that the machine does not have a key of other hosts.
func (k *checker) notOnMachine(h *Host, key string, has bool) {
	if has && h.Name == topo.Machine {
		k.mistakef(h.at, key, "remove it; only other hosts can have it", "the machine cannot have %s", key)
	}
}

// The exporter sets Namespace when it makes the hosts; see topology.
var namespaceKey = hostKey{
	read:    func(_ *syntax.Decoder, f *fileHost, h *Host) { h.Namespace = f.Namespace },
	check:   func(k *checker, h *Host) { k.notOnMachine(h, "namespace", h.Namespace != "") },
	compile: (*compiler).namespace,
	format:  func(h *Host, m *syntax.Mapping) { m.Text("namespace", h.Namespace) },
}

func (c *compiler) namespace(h *Host) {
	if h.Name == topo.Machine {
		return
	}
	c.put(topo.Namespace{Name: h.Name, From: h.Namespace})
	if h.Namespace == "" {
		c.put(topo.Up{NS: h.Name, Link: loopback})
	}
}

// ownsEtc reports whether vnet makes files of /etc for the host. The machine and adopted namespaces keep theirs.
func (h *Host) ownsEtc() bool { return h.Name != topo.Machine && h.Namespace == "" }
