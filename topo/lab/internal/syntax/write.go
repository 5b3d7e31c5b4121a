package syntax

import (
	"bytes"
	"net/netip"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/topo"
)

// A Mapping builds a YAML mapping. Its methods leave out values that are not set.
type Mapping []*yaml.Node

// Add adds a key and its value.
func (m *Mapping) Add(key string, value *yaml.Node) { *m = append(*m, scalarNode(key), value) }

// Text adds a string, unless it is "". It is quoted if YAML would read it as another type.
func (m *Mapping) Text(key, value string) {
	if value != "" {
		m.Add(key, scalarNode(value))
	}
}

// Number adds a number, unless it is 0.
func (m *Mapping) Number(key string, v int) {
	if v != 0 {
		m.Add(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)})
	}
}

// Flag adds true, unless v is false.
func (m *Mapping) Flag(key string, v bool) {
	if v {
		m.Add(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
}

// MAC adds the key mac, unless v is zero.
func (m *Mapping) MAC(v topo.MAC) {
	if !v.IsZero() {
		m.Text("mac", v.String())
	}
}

// Addr adds an address, unless it is invalid.
func (m *Mapping) Addr(key string, a netip.Addr) {
	if a.IsValid() {
		m.Text(key, a.String())
	}
}

// List adds a list in one line, unless it is empty.
func (m *Mapping) List(key string, values []string) {
	if len(values) > 0 {
		m.Add(key, Sequence(values))
	}
}

// One adds a list, like List. It writes a list of one value as a single value.
func (m *Mapping) One(key string, values []string) {
	if len(values) == 1 {
		m.Text(key, values[0])
		return
	}
	m.List(key, values)
}

// Sub adds a mapping in one line, unless it is empty.
func (m *Mapping) Sub(key string, value Mapping) {
	if len(value) > 0 {
		m.Add(key, value.Node(yaml.FlowStyle))
	}
}

// Table adds a mapping of n names to mappings; at returns each of them.
func (m *Mapping) Table(key string, n int, at func(i int) (string, Mapping)) {
	if n == 0 {
		return
	}
	var entries Mapping
	for i := range n {
		name, value := at(i)
		entries.Add(name, value.Node(0))
	}
	m.Add(key, entries.Node(0))
}

// Items adds a list of n nodes; at returns each of them.
func (m *Mapping) Items(key string, n int, at func(i int) *yaml.Node) {
	if n == 0 {
		return
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range n {
		list.Content = append(list.Content, at(i))
	}
	m.Add(key, list)
}

// Node returns the mapping as a node. An empty mapping is always written in one line: {}.
func (m Mapping) Node(style yaml.Style) *yaml.Node {
	if len(m) == 0 {
		style = yaml.FlowStyle
	}
	return &yaml.Node{Kind: yaml.MappingNode, Style: style, Content: m}
}

// Document returns the mapping as the text of a document.
func (m Mapping) Document() []byte {
	var b bytes.Buffer
	out := yaml.NewEncoder(&b)
	out.SetIndent(2)
	// Encoding valid nodes into memory cannot fail.
	_ = out.Encode(m.Node(0))
	_ = out.Close()
	return b.Bytes()
}

// scalarNode returns a string node, quoted if YAML would read it as another type.
func scalarNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// Sequence returns a list of strings in one line.
func Sequence(values []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range values {
		n.Content = append(n.Content, scalarNode(v))
	}
	return n
}
