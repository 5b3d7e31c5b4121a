package draw

import (
	"bytes"
	"fmt"
	"sort"

	"github.com/vnet-lab/vnet/internal/display"
)

// colours has the colours of each kind of box, for every format that has colours.
var colours = [...]struct{ fill, line string }{
	hostNode:    {"#ffffff", "#4a6fa5"},
	routerNode:  {"#fff3df", "#c9831a"},
	machineNode: {"#e9edf2", "#3c4a5a"},
	networkNode: {"#e3f4ee", "#2e8b6d"},
	uplinkNode:  {"#f3e9f7", "#8a4fa3"},
}

const (
	charW   = 7.3 // width of a character in the 12 px monospace text
	boldW   = 8.4 // width of a character in the 14 px name
	lineH   = 16
	padX    = 14
	padY    = 10
	stack   = 5 // offset between the stacked boxes of a group
	slotGap = 16
)

// svg draws the lab as a picture in one file. The file refers to no other file or font.
func (d *drawing) svg() []byte {
	p := d.place(measure)
	var b bytes.Buffer
	title := int(float64(display.Width(d.name))*10) + 2*margin
	p.size[0] = max(p.size[0], title)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"`+
		` font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif">`+"\n",
		p.size[0], p.size[1], p.size[0], p.size[1])
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="18" font-weight="600" fill="#1c2733">%s</text>`+"\n",
		margin, margin+14, display.EscapeXML(d.name))
	p.drawEdges(&b)
	for n := range p.nodes {
		p.drawNode(&b, n)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// measure returns the size of a node's box.
func measure(n *drawnNode) (w, h int) {
	wide := float64(display.Width(n.name)) * boldW
	for _, line := range n.lines {
		wide = max(wide, float64(display.Width(line))*charW)
	}
	w, h = int(wide)+2*padX, lineH+2*padY+len(n.lines)*lineH
	if n.kind == networkNode {
		w += 2 * padX // its ends are round
	}
	if n.hosts > 1 {
		w, h = w+2*stack, h+2*stack
	}
	return max(w, 84), h
}

func (p *placed) drawNode(b *bytes.Buffer, n int) {
	node, c := &p.nodes[n], colours[p.nodes[n].kind]
	x, y, w, h := p.x[n], p.y[n], p.w[n], p.h[n]
	round := 8
	switch node.kind {
	case networkNode:
		round = min(h/2, 26)
	case machineNode:
		round = 3
	}
	dash := ""
	if node.dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	box := func(x, y, w, h int) {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="%d" fill="%s" stroke="%s" stroke-width="1.6"%s/>`+"\n",
			x, y, w, h, round, c.fill, c.line, dash)
	}
	if node.hosts > 1 {
		w, h = w-2*stack, h-2*stack
		box(x+2*stack, y+2*stack, w, h)
		box(x+stack, y+stack, w, h)
	}
	box(x, y, w, h)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="14" font-weight="600" text-anchor="middle" fill="%s">%s</text>`+"\n",
		x+w/2, y+padY+13, c.line, display.EscapeXML(node.name))
	left := x + (w-p.textWidth(n))/2
	for i, line := range node.lines {
		fmt.Fprintf(b, `<text x="%d" y="%d" font-size="12" xml:space="preserve"`+
			` font-family="ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, monospace" fill="#33414f">%s</text>`+"\n",
			left, y+padY+lineH*(i+2)-3, display.EscapeXML(line))
	}
}

func (p *placed) textWidth(n int) int {
	wide := 0
	for _, line := range p.nodes[n].lines {
		wide = max(wide, display.Width(line))
	}
	return int(float64(wide) * charW)
}

// drawEdges draws the lines, each from its own slot on the box's edge.
func (p *placed) drawEdges(b *bytes.Buffer) {
	slots := p.slots()
	for k, e := range p.edges {
		if e.a == e.b {
			continue
		}
		a, z := e.a, e.b
		if p.row[a] > p.row[z] {
			a, z = z, a
		}
		x1, x2 := slots[slot{k, a}], slots[slot{k, z}]
		y1, y2 := p.y[a]+p.h[a], p.y[z]
		path := fmt.Sprintf("M%d %d C%d %d %d %d %d %d", x1, y1, x1, y1+gapY/2, x2, y2-gapY/2, x2, y2)
		lx, ly := labelPoint(x1, x1, x2, x2), labelPoint(y1, y1+gapY/2, y2-gapY/2, y2)
		if p.row[a] == p.row[z] {
			y2 = p.y[z] + p.h[z]
			low := max(y1, y2) + gapY*3/5
			path = fmt.Sprintf("M%d %d C%d %d %d %d %d %d", x1, y1, x1, low, x2, low, x2, y2)
			lx, ly = (x1+x2)/2, (max(y1, y2)+3*low)/4
		}
		dash, colour := "", "#5b6b7b"
		if e.impaired {
			dash, colour = ` stroke-dasharray="5 4"`, "#c0392b"
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6"%s/>`+"\n", path, colour, dash)
		if e.label != "" {
			fmt.Fprintf(b, `<text x="%d" y="%d" font-size="11" text-anchor="middle" fill="%s"`+
				` stroke="#ffffff" stroke-width="4" paint-order="stroke">%s</text>`+"\n",
				lx, ly+4, colour, display.EscapeXML(e.label))
		}
	}
}

// labelPoint returns one coordinate of a line's label. a, b, c and d are the coordinates of the
// Bézier curve's four points. The label is nearer to the lower end, where lines are farther apart.
func labelPoint(a, b, c, d int) int {
	const t, u = 0.66, 0.34
	return int(u*u*u*float64(a) + 3*u*u*t*float64(b) + 3*u*t*t*float64(c) + t*t*t*float64(d))
}

// A slot is the point where an edge leaves a node.
type slot struct{ edge, node int }

// slots spreads the ends of the lines over the lower and upper edges of the boxes, sorted by the
// positions of their other ends.
func (p *placed) slots() map[slot]int {
	type end struct{ edge, far int }
	lower, upper := make([][]end, len(p.nodes)), make([][]end, len(p.nodes))
	for k, e := range p.edges {
		for _, ends := range [][2]int{{e.a, e.b}, {e.b, e.a}} {
			n, far := ends[0], ends[1]
			if p.row[far] >= p.row[n] {
				lower[n] = append(lower[n], end{k, far})
			} else {
				upper[n] = append(upper[n], end{k, far})
			}
		}
	}
	out := map[slot]int{}
	for _, side := range [][][]end{lower, upper} {
		for n, ends := range side {
			sort.SliceStable(ends, func(i, j int) bool {
				a, b := ends[i].far, ends[j].far
				return p.x[a]+p.w[a]/2 < p.x[b]+p.w[b]/2
			})
			step := min(slotGap, (p.w[n]-2*padX)/max(len(ends), 1))
			x := p.x[n] + p.w[n]/2 - step*(len(ends)-1)/2
			for i, e := range ends {
				out[slot{e.edge, n}] = x + i*step
			}
		}
	}
	return out
}
