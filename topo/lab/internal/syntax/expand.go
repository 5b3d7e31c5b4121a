package syntax

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/topo"
)

// expand applies defaults and repeat to the document. Copies keep the
// positions of their originals.
func (d *Decoder) expand(root *yaml.Node) {
	root = resolveAlias(root)
	if root == nil || root.Kind != yaml.MappingNode {
		return
	}
	defaults := resolveAlias(child(root, "defaults"))
	for _, section := range []string{"networks", "hosts", "links"} {
		slot := slotOf(root, section)
		if slot == nil || resolveAlias(*slot) == nil {
			continue
		}
		entries := *resolveAlias(*slot) // a copy, because an alias can refer to the same node
		switch entries.Kind {
		case yaml.MappingNode:
			entries.Content = d.expandTable(entries.Content, resolveAlias(child(defaults, section)))
		case yaml.SequenceNode:
			entries.Content = d.expandList(entries.Content, resolveAlias(child(defaults, section)))
		}
		*slot = &entries
	}
}

func (d *Decoder) expandTable(content []*yaml.Node, defaults *yaml.Node) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(content))
	for i := 0; i+1 < len(content); i += 2 {
		key, value := content[i], content[i+1]
		if key.Tag == "!!merge" || key.Value == topo.Machine {
			out = append(out, key, value)
			continue
		}
		value = withDefaults(value, defaults)
		times, value := d.takeRepeat(value)
		if times == nil {
			out = append(out, key, value)
			continue
		}
		if !strings.Contains(key.Value, "(n") { // the copies need different names
			named := *key
			named.Value += "(n)"
			key = &named
		}
		for n := times.first; n <= times.last && d.nodesLeft > 0; n++ {
			out = append(out, d.withNumber(key, n, 0), d.withNumber(value, n, 0))
		}
	}
	return out
}

func (d *Decoder) expandList(content []*yaml.Node, defaults *yaml.Node) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(content))
	for _, value := range content {
		value = withDefaults(value, defaults)
		times, value := d.takeRepeat(value)
		if times == nil {
			out = append(out, value)
			continue
		}
		for n := times.first; n <= times.last && d.nodesLeft > 0; n++ {
			out = append(out, d.withNumber(value, n, 0))
		}
	}
	return out
}

// withDefaults returns the entry, and adds those keys of defaults that it does not have.
func withDefaults(entry, defaults *yaml.Node) *yaml.Node {
	e := resolveAlias(entry)
	if e == nil || defaults == nil || defaults.Kind != yaml.MappingNode {
		return entry
	}
	full := *e
	switch {
	case IsNull(e):
		full = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: e.Line, Column: e.Column}
	case e.Kind != yaml.MappingNode:
		return entry
	}
	full.Content = slices.Clone(full.Content)
	for i := 0; i+1 < len(defaults.Content); i += 2 {
		if key := defaults.Content[i]; child(e, key.Value) == nil && key.Value != "repeat" {
			full.Content = append(full.Content, key, defaults.Content[i+1])
		}
	}
	return &full
}

// takeRepeat reads the key repeat of the entry and returns the entry without
// it. The repeat is nil if the entry has none.
func (d *Decoder) takeRepeat(entry *yaml.Node) (*Repeat, *yaml.Node) {
	e := resolveAlias(entry)
	node := child(e, "repeat")
	if node == nil {
		return nil, entry
	}
	before, r := d.count, Repeat{1, 1}
	d.key = "repeat"
	d.Value(node, &r)
	if d.count > before {
		r = Repeat{1, 1}
	}
	rest := *e
	rest.Content = nil
	for i := 0; i+1 < len(e.Content); i += 2 {
		if e.Content[i].Value != "repeat" {
			rest.Content = append(rest.Content, e.Content[i], e.Content[i+1])
		}
	}
	return &r, &rest
}

// withNumber returns n with the number in place of "(n)". It copies only nodes
// that contain "(n".
func (d *Decoder) withNumber(n *yaml.Node, number, depth int) *yaml.Node {
	if !d.containsNumber(n) {
		return n
	}
	null := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	if n = resolveAlias(n); n == nil {
		return null
	}
	if d.nodesLeft--; d.nodesLeft < 0 || depth > maxDepth {
		d.tooLarge(n)
		return null
	}
	c := *n
	if n.Kind == yaml.ScalarNode {
		c.Value = replaceNumber(n.Value, number)
		return &c
	}
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = d.withNumber(n.Content[i], number, depth+1)
	}
	return &c
}

// containsNumber reports whether n or a node below it contains "(n".
func (d *Decoder) containsNumber(n *yaml.Node) bool {
	if n = resolveAlias(n); n == nil {
		return false
	}
	does, known := d.hasNumber[n]
	if known {
		return does
	}
	if d.hasNumber == nil {
		d.hasNumber = map[*yaml.Node]bool{}
	}
	d.hasNumber[n] = false // ends the recursion if n contains itself
	does = strings.Contains(n.Value, "(n") || slices.ContainsFunc(n.Content, d.containsNumber)
	d.hasNumber[n] = does
	return does
}

// replaceNumber replaces each "(n)", "(n+K)" and "(n-K)" in s.
func replaceNumber(s string, n int) string {
	if !strings.Contains(s, "(n") {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "(n")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		offset, rest, closed := strings.Cut(after, ")")
		k, err := strconv.Atoi(offset)
		if !closed || offset != "" && (err != nil || offset[0] != '+' && offset[0] != '-') {
			b.WriteString("(n")
			s = after
			continue
		}
		b.WriteString(strconv.Itoa(n + k))
		s = rest
	}
}

// child returns the value of a key of a mapping, nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if slot := slotOf(n, key); slot != nil {
		return *slot
	}
	return nil
}

func slotOf(n *yaml.Node, key string) **yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return &n.Content[i+1]
		}
	}
	return nil
}

// resolveAlias returns the node that an alias refers to.
func resolveAlias(n *yaml.Node) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode; hops++ {
		if hops > maxDepth {
			return nil
		}
		n = n.Alias
	}
	return n
}
