package draw

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

// Formats lists the formats that [Graph] supports.
var Formats = []string{"ascii", "mermaid", "dot", "svg"}

// Graph draws the lab: hosts, networks, links, addresses. Format is one of [Formats]: ascii
// for a terminal, mermaid for Markdown, dot for Graphviz, svg for a picture. If a network has many
// similar hosts, they are drawn as one box. An unknown format is an error.
func Graph(t lab.Topology, format string) ([]byte, error) {
	d := newDrawing(&t)
	switch format {
	case "ascii":
		return d.ascii(), nil
	case "mermaid":
		return d.mermaid(), nil
	case "dot":
		return d.dot(), nil
	case "svg":
		return d.svg(), nil
	}
	return nil, fmt.Errorf("unknown graph format %q: %s", format, spell.DidYouMean(format, Formats))
}

// A drawing is a lab as boxes and lines, before they have positions.
type drawing struct {
	name  string
	nodes []drawnNode
	edges []drawnEdge
	index map[string]int // nodes by kind and name
}

type nodeKind int

const (
	hostNode nodeKind = iota
	routerNode
	machineNode
	networkNode
	uplinkNode // a device that is an uplink
)

// A drawnNode is a box: a name and the lines of text below it.
type drawnNode struct {
	kind   nodeKind
	name   string
	lines  []string
	hosts  int  // how many hosts the box stands for; 0 means one
	dashed bool // an adopted namespace
}

// A drawnEdge is a line between two boxes.
type drawnEdge struct {
	a, b     int
	label    string
	impaired bool
}

// maxSeparate is the largest number of similar hosts on a network that are drawn one by one.
const maxSeparate = 8

func newDrawing(t *lab.Topology) *drawing {
	l, _ := lab.NewLayout(t)
	d := &drawing{name: t.Name, index: map[string]int{}}
	for n := range t.Networks {
		if br := &l.Ifaces[l.ByNetwork[n][0]]; br.Host == topo.Machine && len(br.Addrs) > 0 {
			d.node(machineNode, topo.Machine, hostLines(l, topo.Machine))
		}
		d.node(networkNode, t.Networks[n].Name, networkLines(&t.Networks[n]))
	}
	for _, n := range l.ByHost[topo.Machine] {
		if !l.Ifaces[n].IsBridge() {
			d.node(machineNode, topo.Machine, hostLines(l, topo.Machine))
		}
	}
	groups := similarHosts(l)
	for i := range t.Hosts {
		h := &t.Hosts[i]
		if group := groups[h.Name]; len(group) > 0 {
			d.group(group, h, l)
		} else if h.Name != topo.Machine {
			d.host(h, l)
		}
	}
	d.connect(l, groups)
	return d
}

// node returns the box of that kind and name. It creates the box if it does not exist.
func (d *drawing) node(kind nodeKind, name string, lines []string) int {
	key := name
	if kind == networkNode || kind == uplinkNode {
		key = fmt.Sprint(kind, " ", name)
	}
	if n, ok := d.index[key]; ok {
		return n
	}
	for i, line := range lines {
		lines[i] = display.Escape(line)
	}
	d.nodes = append(d.nodes, drawnNode{kind: kind, name: display.Escape(name), lines: lines})
	d.index[key] = len(d.nodes) - 1
	return len(d.nodes) - 1
}

func (d *drawing) host(h *lab.Host, l *lab.Layout) {
	kind := hostNode
	if l.Forwards(h) {
		kind = routerNode
	}
	n := d.node(kind, h.Name, hostLines(l, h.Name))
	d.nodes[n].dashed = h.Namespace != ""
}

// group draws the hosts of a group as one box, in the place of the first.
func (d *drawing) group(group []string, h *lab.Host, l *lab.Layout) {
	if group[0] != h.Name {
		return
	}
	last := group[len(group)-1]
	n := d.node(hostNode, group[0]+" … "+last, nil)
	d.index[h.Name] = n
	d.nodes[n].hosts = len(group)
	from, to := hostLines(l, h.Name), hostLines(l, last)
	d.nodes[n].lines = []string{fmt.Sprintf("%d hosts", len(group))}
	for i, line := range from {
		if i < len(to) && to[i] != line {
			line += " …"
		}
		d.nodes[n].lines = append(d.nodes[n].lines, line)
	}
}

// similarHosts returns the groups of hosts that are drawn as one box. The key is the name of a host,
// the value has the names of all hosts in its group. The hosts of a group have one port on the same
// network and nothing else.
func similarHosts(l *lab.Layout) map[string][]string {
	byNet := map[int][]string{}
	for i := range l.Topology.Hosts {
		h := &l.Topology.Hosts[i]
		of := l.ByHost[h.Name]
		if len(of) == 1 && l.Ifaces[of[0]].Attachment != nil && h.Namespace == "" && len(h.Ports) == 0 && !l.Forwards(h) {
			byNet[l.Ifaces[of[0]].Network] = append(byNet[l.Ifaces[of[0]].Network], h.Name)
		}
	}
	out := map[string][]string{}
	for _, group := range byNet {
		if len(group) > maxSeparate {
			for _, name := range group {
				out[name] = group
			}
		}
	}
	return out
}

// connect draws the lines: ports, links, uplinks. groups is the result of similarHosts.
func (d *drawing) connect(l *lab.Layout, groups map[string][]string) {
	for n := range l.Ifaces {
		i := &l.Ifaces[n]
		if group := groups[i.Host]; len(group) > 0 && group[0] != i.Host {
			continue
		}
		host, drawn := d.index[i.Host]
		switch {
		case !drawn:
		case i.IsBridge():
			if i.Host != topo.Machine || len(i.Addrs) > 0 {
				d.edge(host, d.networkBox(l, i.Network), "", false)
			}
		case i.Attachment != nil:
			d.edge(host, d.networkBox(l, i.Network), portLabel(i.Attachment), i.Attachment.Impair != topo.Impairment{})
		case i.Link != nil && i.End == 0:
			d.edge(host, d.index[i.Link.Ends[1].Host], linkLabel(i.Link), i.Link.Impair != topo.Impairment{})
		case i.Device != nil:
			d.tunnel(l, i, host)
		}
	}
	for n := range l.Topology.Networks {
		if up := l.Topology.Networks[n].Uplink; up != "" {
			d.edge(d.networkBox(l, n), d.node(uplinkNode, up, []string{"uplink"}), "", false)
		}
	}
}

// tunnel draws one line between a device and the host of the lab that has the device's remote
// address. The device at the other end adds no second line.
func (d *drawing) tunnel(l *lab.Layout, i *lab.Iface, host int) {
	for n := range l.Ifaces {
		far, drawn := d.index[l.Ifaces[n].Host]
		if drawn && i.Device.Remote.IsValid() && l.Ifaces[n].HasAddr(i.Device.Remote) {
			label := fmt.Sprint(i.Device.Kind, " ", i.Device.ID)
			if !slices.Contains(d.edges, drawnEdge{far, host, label, false}) {
				d.edge(host, far, label, false)
			}
		}
	}
}

func (d *drawing) networkBox(l *lab.Layout, net int) int {
	return d.node(networkNode, l.Topology.Networks[net].Name, nil)
}

func (d *drawing) edge(a, b int, label string, impaired bool) {
	d.edges = append(d.edges, drawnEdge{a, b, label, impaired})
}

func portLabel(a *lab.Attachment) string {
	var words []string
	if a.VLAN != 0 {
		words = append(words, fmt.Sprint("vlan ", a.VLAN))
	}
	if len(a.VLANs) > 0 {
		words = append(words, "vlans "+strings.Trim(fmt.Sprint(a.VLANs), "[]"))
	}
	return strings.Join(append(words, impairmentWords(a.Impair)...), ", ")
}

func linkLabel(l *lab.Link) string {
	var words []string
	if l.MTU != 0 {
		words = append(words, fmt.Sprint("mtu ", l.MTU))
	}
	return strings.Join(append(words, impairmentWords(l.Impair)...), ", ")
}

func impairmentWords(i topo.Impairment) (words []string) {
	if i.Delay > 0 {
		delay := i.Delay.String()
		if i.Jitter > 0 {
			delay += " ± " + i.Jitter.String()
		}
		words = append(words, delay)
	}
	if i.Loss > 0 {
		words = append(words, fmt.Sprintf("loss %g%%", i.Loss))
	}
	if i.Rate > 0 {
		words = append(words, display.Rate(i.Rate))
	}
	return words
}

// networkLines returns the text below a network's name.
func networkLines(n *lab.Network) (lines []string) {
	lines = append(lines, display.Prefixes(n.Subnets)...)
	var words []string
	add := func(on bool, word string) {
		if on {
			words = append(words, word)
		}
	}
	add(n.NAT || len(n.NATTo) > 0, "nat")
	add(n.Routed, "routed")
	add(n.Fastpath, "fastpath")
	add(n.STP, "stp")
	add(n.VLANFiltering, "vlan filtering")
	add(n.IsolateHosts, "hosts isolated")
	add(n.Antispoof, "antispoof")
	add(len(n.IsolateFrom) > 0, "isolated from "+strings.Join(n.IsolateFrom, ", "))
	add(n.MTU != 0, fmt.Sprint("mtu ", n.MTU))
	if len(words) > 0 {
		lines = append(lines, strings.Join(words, ", "))
	}
	return lines
}

// hostLines returns the text below a host's name: its devices with their addresses, then its other
// properties.
func hostLines(l *lab.Layout, host string) (lines []string) {
	for _, n := range l.ByHost[host] {
		i := &l.Ifaces[n]
		if host == topo.Machine && i.IsBridge() && len(i.Addrs) == 0 {
			continue
		}
		for k, p := range i.Addrs {
			dev := i.Name
			if k > 0 {
				dev = strings.Repeat(" ", len(dev))
			}
			lines = append(lines, dev+"  "+p.String())
		}
		if len(i.Addrs) == 0 {
			lines = append(lines, i.Name)
		}
	}
	n, ok := l.Hosts[host]
	if !ok {
		return lines
	}
	h := &l.Topology.Hosts[n]
	if h.Namespace != "" {
		lines = append(lines, "namespace "+h.Namespace)
	}
	if len(h.Aliases) > 0 {
		lines = append(lines, "aliases "+strings.Join(h.Aliases, ", "))
	}
	if len(h.NAT) > 0 {
		lines = append(lines, "nat "+display.JoinPrefixes(h.NAT))
	}
	for _, p := range slices.Concat(h.Ports, h.Forwards) {
		lines = append(lines, "port "+p.String())
	}
	return lines
}
