package lab

import (
	"bytes"
	"net/netip"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
)

// Format returns t as a lab file. Parse reads it back as t. Defaults and
// repetitions are written in full.
func Format(t Topology) []byte {
	var doc mapping
	doc.text("name", t.Name)
	doc.table("networks", len(t.Networks), func(i int) (string, mapping) {
		return t.Networks[i].Name, t.Networks[i].format()
	})
	doc.table("hosts", len(t.Hosts), func(i int) (string, mapping) {
		return t.Hosts[i].Name, t.Hosts[i].format()
	})
	doc.items("links", len(t.Links), func(i int) *yaml.Node { return t.Links[i].format() })
	doc.items("expect", len(t.Expect), func(i int) *yaml.Node { return t.Expect[i].format() })
	var b bytes.Buffer
	out := yaml.NewEncoder(&b)
	out.SetIndent(2)
	// Encoding valid nodes into memory cannot fail.
	_ = out.Encode(doc.node(0))
	_ = out.Close()
	return b.Bytes()
}

func formatImpairment(i topo.Impairment) (m mapping) {
	if i.Delay > 0 {
		m.text("delay", i.Delay.String())
	}
	if i.Jitter > 0 {
		m.text("jitter", i.Jitter.String())
	}
	if i.Loss > 0 {
		m.text("loss", strconv.FormatFloat(i.Loss, 'f', -1, 64)+"%")
	}
	if i.Rate > 0 {
		m.text("rate", display.Rate(i.Rate))
	}
	return m
}

func (x Expectation) format() *yaml.Node {
	key, value := x.halves()
	var m mapping
	m.text(key, value)
	return m.node(0)
}

// A mapping builds a YAML mapping. Its methods leave out values that are not set.
type mapping []*yaml.Node

func (m *mapping) add(key string, value *yaml.Node) { *m = append(*m, scalarNode(key), value) }

func (m *mapping) text(key, value string) {
	if value != "" {
		m.add(key, scalarNode(value))
	}
}

func (m *mapping) number(key string, v int) {
	if v != 0 {
		m.add(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)})
	}
}

func (m *mapping) offload(off bool) {
	if off {
		m.text("offload", "off")
	}
}

func (m *mapping) flag(key string, v bool) {
	if v {
		m.add(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
}

func (m *mapping) mac(v topo.MAC) {
	if !v.IsZero() {
		m.text("mac", v.String())
	}
}

func (m *mapping) addr(key string, a netip.Addr) {
	if a.IsValid() {
		m.text(key, a.String())
	}
}

func (m *mapping) list(key string, values []string) {
	if len(values) > 0 {
		m.add(key, sequence(values))
	}
}

// one writes a list of one value as a single value.
func (m *mapping) one(key string, values []string) {
	if len(values) == 1 {
		m.text(key, values[0])
		return
	}
	m.list(key, values)
}

func (m *mapping) sub(key string, value mapping) {
	if len(value) > 0 {
		m.add(key, value.node(yaml.FlowStyle))
	}
}

func (m *mapping) table(key string, n int, at func(i int) (string, mapping)) {
	if n == 0 {
		return
	}
	var entries mapping
	for i := range n {
		name, value := at(i)
		entries.add(name, value.node(0))
	}
	m.add(key, entries.node(0))
}

func (m *mapping) items(key string, n int, at func(i int) *yaml.Node) {
	if n == 0 {
		return
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range n {
		list.Content = append(list.Content, at(i))
	}
	m.add(key, list)
}

func (m mapping) node(style yaml.Style) *yaml.Node {
	if len(m) == 0 {
		style = yaml.FlowStyle
	}
	return &yaml.Node{Kind: yaml.MappingNode, Style: style, Content: m}
}

// scalarNode returns a string node, quoted if YAML would read it as another type.
func scalarNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func sequence(values []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		n.Content = append(n.Content, scalarNode(v))
	}
	return n
}
