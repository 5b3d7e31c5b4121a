package draw

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// ascii draws a tree for each connected component, from its root down. Lines that would close a
// loop are listed at the end.
func (d *drawing) ascii() []byte {
	var b bytes.Buffer
	b.WriteString(d.name + "\n")
	w := &treeWriter{d: d, out: &b, seen: make([]bool, len(d.nodes)), drawn: make([]bool, len(d.edges))}
	for _, root := range d.roots() {
		b.WriteByte('\n')
		w.write(root, "", "", "")
	}
	for n, e := range d.edges {
		if !w.drawn[n] {
			if !w.hasRest {
				b.WriteString("\nmore links\n")
			}
			w.hasRest = true
			fmt.Fprintf(&b, "  %s ── %s%s\n", d.nodes[e.a].name, d.nodes[e.b].name, labelText(e.label))
		}
	}
	return b.Bytes()
}

type treeWriter struct {
	d       *drawing
	out     *bytes.Buffer
	seen    []bool // nodes
	drawn   []bool // edges
	hasRest bool
}

// write writes node n and its children. The line with the node's name begins with branch and ends with
// label, the label of the line to its parent. All lines after it begin with below.
func (w *treeWriter) write(n int, branch, below, label string) {
	w.seen[n] = true
	node := &w.d.nodes[n]
	w.out.WriteString(branch + node.title() + labelText(label) + "\n")
	type child struct {
		node  int
		label string
	}
	var children []child
	for k, e := range w.d.edges {
		far := e.a + e.b - n
		if (e.a != n && e.b != n) || w.drawn[k] || w.seen[far] {
			continue
		}
		w.drawn[k], w.seen[far] = true, true
		children = append(children, child{far, e.label})
	}
	bar := "  "
	if len(children) > 0 {
		bar = "│ "
	}
	for _, line := range node.lines {
		w.out.WriteString(strings.TrimRight(below+bar+"  "+line, " ") + "\n")
	}
	for i, c := range children {
		if i < len(children)-1 {
			w.write(c.node, below+"├─ ", below+"│  ", c.label)
		} else {
			w.write(c.node, below+"└─ ", below+"   ", c.label)
		}
	}
}

// title returns the node's name, with brackets or an arrow that show its kind.
func (n *drawnNode) title() string {
	switch n.kind {
	case networkNode:
		return "(" + n.name + ")"
	case routerNode:
		return "[" + n.name + "] router"
	case uplinkNode:
		return "→ " + n.name
	}
	return "[" + n.name + "]"
}

// labelText returns the text of a line's label; "" if it has none.
func labelText(label string) string {
	if label == "" {
		return ""
	}
	return "  ~ " + label
}

// mermaid writes a Mermaid flowchart, which Markdown renderers draw.
func (d *drawing) mermaid() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart TD\n", d.name)
	shapes := [...][2]string{
		hostNode: {"[", "]"}, routerNode: {"{{", "}}"}, machineNode: {"[[", "]]"},
		networkNode: {"([", "])"}, uplinkNode: {"((", "))"},
	}
	classes := [...]string{
		hostNode: "host", routerNode: "router", machineNode: "machine", networkNode: "network", uplinkNode: "uplink",
	}
	escape := strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;")
	for i, n := range d.nodes {
		text := "<b>" + escape.Replace(n.name) + "</b>"
		for _, line := range n.lines {
			text += "<br/>" + escape.Replace(strings.TrimSpace(line))
		}
		fmt.Fprintf(&b, "    n%d%s\"%s\"%s:::%s\n", i, shapes[n.kind][0], text, shapes[n.kind][1], classes[n.kind])
	}
	for _, e := range d.edges {
		line := "---"
		if e.impaired {
			line = "-.-"
		}
		if e.label != "" {
			line += `|"` + escape.Replace(e.label) + `"|`
		}
		fmt.Fprintf(&b, "    n%d %s n%d\n", e.a, line, e.b)
	}
	for kind, name := range classes {
		c := colours[kind]
		fmt.Fprintf(&b, "    classDef %s fill:%s,stroke:%s,color:#1c2733\n", name, c.fill, c.line)
	}
	return b.Bytes()
}

// dot writes a graph for Graphviz.
func (d *drawing) dot() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "graph %s {\n", strconv.Quote(d.name))
	b.WriteString("    node [fontname=\"sans-serif\", fontsize=11, style=\"rounded,filled\", shape=box]\n")
	b.WriteString("    edge [fontname=\"sans-serif\", fontsize=9, color=\"#5b6b7b\"]\n")
	shapes := [...]string{
		hostNode: "box", routerNode: "hexagon", machineNode: "box3d", networkNode: "ellipse", uplinkNode: "circle",
	}
	for i, n := range d.nodes {
		label := n.name
		for _, line := range n.lines {
			label += "\n" + strings.TrimSpace(line)
		}
		style := "rounded,filled"
		if n.dashed {
			style += ",dashed"
		}
		c := colours[n.kind]
		fmt.Fprintf(&b, "    n%d [label=%s, shape=%s, style=%q, fillcolor=%q, color=%q]\n",
			i, dotQuote(label), shapes[n.kind], style, c.fill, c.line)
	}
	for _, e := range d.edges {
		fmt.Fprintf(&b, "    n%d -- n%d", e.a, e.b)
		if e.label != "" {
			fmt.Fprintf(&b, " [label=%s]", dotQuote(e.label))
		}
		if e.impaired {
			b.WriteString(" [style=dashed]")
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// dotQuote quotes text for dot, where only quotes, backslashes and line ends are special.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
