package topo

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// expand works defaults and repeat into the document, so that what is read
// afterwards is written out in full. Copies keep the places of what they copy.
func (d *decoder) expand(root *yaml.Node) {
	root = unalias(root)
	if root == nil || root.Kind != yaml.MappingNode {
		return
	}
	defaults := unalias(child(root, "defaults"))
	for _, section := range []string{"networks", "hosts", "links"} {
		slot := slotOf(root, section)
		if slot == nil || unalias(*slot) == nil {
			continue
		}
		entries := *unalias(*slot) // a copy: an anchor may show it elsewhere too
		switch entries.Kind {
		case yaml.MappingNode:
			entries.Content = d.expandTable(entries.Content, unalias(child(defaults, section)))
		case yaml.SequenceNode:
			entries.Content = d.expandList(entries.Content, unalias(child(defaults, section)))
		}
		*slot = &entries
	}
}

func (d *decoder) expandTable(content []*yaml.Node, defaults *yaml.Node) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(content))
	for i := 0; i+1 < len(content); i += 2 {
		key, value := content[i], content[i+1]
		if key.Tag == "!!merge" || key.Value == Machine {
			out = append(out, key, value)
			continue
		}
		value = withDefaults(value, defaults)
		times, value := d.repeated(value)
		if times == nil {
			out = append(out, key, value)
			continue
		}
		if !strings.Contains(key.Value, "(n") {
			named := *key
			named.Value += "(n)"
			key = &named
		}
		for n := times.first; n <= times.last && d.left > 0; n++ {
			out = append(out, d.numbered(key, n, 0), d.numbered(value, n, 0))
		}
	}
	return out
}

func (d *decoder) expandList(content []*yaml.Node, defaults *yaml.Node) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(content))
	for _, value := range content {
		value = withDefaults(value, defaults)
		times, value := d.repeated(value)
		if times == nil {
			out = append(out, value)
			continue
		}
		for n := times.first; n <= times.last && d.left > 0; n++ {
			out = append(out, d.numbered(value, n, 0))
		}
	}
	return out
}

// withDefaults returns the entry with the keys of defaults that it lacks.
func withDefaults(entry, defaults *yaml.Node) *yaml.Node {
	e := unalias(entry)
	if e == nil || defaults == nil || defaults.Kind != yaml.MappingNode {
		return entry
	}
	full := *e
	switch {
	case isNull(e):
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

// repeated reads the entry's repeat and returns the entry without it; nil if
// it has none.
func (d *decoder) repeated(entry *yaml.Node) (*repeat, *yaml.Node) {
	e := unalias(entry)
	node := child(e, "repeat")
	if node == nil {
		return nil, entry
	}
	before, r := d.made, repeat{1, 1}
	d.key = "repeat"
	d.value(node, &r)
	if d.made > before {
		r = repeat{1, 1}
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

// numbered returns n with the number in place of "(n)": a copy, but for what
// does not mention it.
func (d *decoder) numbered(n *yaml.Node, number, depth int) *yaml.Node {
	if !d.mentionsNumber(n) {
		return n
	}
	nothing := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	if n = unalias(n); n == nil {
		return nothing
	}
	if d.left--; d.left < 0 || depth > deepest {
		d.endless(n)
		return nothing
	}
	c := *n
	if n.Kind == yaml.ScalarNode {
		c.Value = number1(n.Value, number)
		return &c
	}
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = d.numbered(n.Content[i], number, depth+1)
	}
	return &c
}

// mentionsNumber tells whether "(n" stands in n or in what belongs to it.
func (d *decoder) mentionsNumber(n *yaml.Node) bool {
	if n = unalias(n); n == nil {
		return false
	}
	does, known := d.mentions[n]
	if known {
		return does
	}
	if d.mentions == nil {
		d.mentions = map[*yaml.Node]bool{}
	}
	d.mentions[n] = false // what contains itself ends here
	does = strings.Contains(n.Value, "(n") || slices.ContainsFunc(n.Content, d.mentionsNumber)
	d.mentions[n] = does
	return does
}

// number1 replaces each "(n)", "(n+K)" and "(n-K)" of s.
func number1(s string, n int) string {
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

// child returns the value of a mapping's key, nil if there is none.
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

// unalias follows an alias to what it stands for.
func unalias(n *yaml.Node) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode; hops++ {
		if hops > deepest {
			return nil
		}
		n = n.Alias
	}
	return n
}
