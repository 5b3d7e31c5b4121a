package topo

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ascii draws a tree for each part that hangs together, from the machine or
// its best connected box down; lines that would close a ring are told at the
// end.
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
			if !w.rest {
				b.WriteString("\nand\n")
			}
			w.rest = true
			fmt.Fprintf(&b, "  %s ── %s%s\n", d.nodes[e.a].name, d.nodes[e.b].name, inParens(e.label))
		}
	}
	return b.Bytes()
}

type treeWriter struct {
	d     *drawing
	out   *bytes.Buffer
	seen  []bool // nodes
	drawn []bool // edges
	rest  bool
}

// write writes node n behind the branch's prefix, its lines and what hangs on
// it below.
func (w *treeWriter) write(n int, branch, below, label string) {
	w.seen[n] = true
	node := &w.d.nodes[n]
	w.out.WriteString(branch + node.title() + inParens(label) + "\n")
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

// title is the node's name as a text without boxes shows its kind.
func (n *drawnNode) title() string {
	switch n.kind {
	case switchNode:
		return "(" + n.name + ")"
	case routerNode:
		return "[" + n.name + "] router"
	case worldNode:
		return "→ " + n.name
	}
	return "[" + n.name + "]"
}

func inParens(label string) string {
	if label == "" {
		return ""
	}
	return "  ~ " + label
}

// mermaid writes a flowchart as Markdown renderers draw it.
func (d *drawing) mermaid() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart TD\n", d.name)
	shapes := [...][2]string{hostNode: {"[", "]"}, routerNode: {"{{", "}}"}, machineNode: {"[[", "]]"}, switchNode: {"([", "])"}, worldNode: {"((", "))"}}
	classes := [...]string{hostNode: "host", routerNode: "router", machineNode: "machine", switchNode: "switch", worldNode: "world"}
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
		if e.bad {
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
	shapes := [...]string{hostNode: "box", routerNode: "hexagon", machineNode: "box3d", switchNode: "ellipse", worldNode: "circle"}
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
		fmt.Fprintf(&b, "    n%d [label=%s, shape=%s, style=%q, fillcolor=%q, color=%q]\n", i, dotQuote(label), shapes[n.kind], style, c.fill, c.line)
	}
	for _, e := range d.edges {
		fmt.Fprintf(&b, "    n%d -- n%d", e.a, e.b)
		if e.label != "" {
			fmt.Fprintf(&b, " [label=%s]", dotQuote(e.label))
		}
		if e.bad {
			b.WriteString(" [style=dashed]")
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// dotQuote quotes as dot does: only quotes and line ends mean something.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// width is how many columns a text takes.
func width(s string) int { return utf8.RuneCountInString(s) }
