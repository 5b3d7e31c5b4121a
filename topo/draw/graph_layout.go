package draw

import (
	"cmp"
	"slices"
	"sort"

	"github.com/vnet-lab/vnet/internal/display"
)

// The boxes of a drawing are put in rows: the root on top, its neighbours below, and so on.
// Within a row they are sorted so that few lines cross, and then centred on their neighbours.

// A placed drawing has a position for each node.
type placed struct {
	*drawing
	row  []int   // of each node
	x, y []int   // upper left corner
	w, h []int   // size
	rows [][]int // nodes from left to right
	size [2]int  // of the whole
}

const (
	gapX, gapY = 26, 64
	margin     = 24
	titleSpace = 34
)

func (d *drawing) place(measure func(*drawnNode) (w, h int)) *placed {
	p := &placed{drawing: d}
	n := len(d.nodes)
	p.row, p.x, p.y, p.w, p.h = make([]int, n), make([]int, n), make([]int, n), make([]int, n), make([]int, n)
	for i := range d.nodes {
		p.w[i], p.h[i] = measure(&d.nodes[i])
	}
	near := d.neighbours()
	for _, e := range d.edges {
		for _, end := range []int{e.a, e.b} {
			if len(near[end]) == 1 { // the label is above the box
				p.w[end] = max(p.w[end], display.Width(e.label)*7)
			}
		}
	}
	left := margin
	for _, component := range p.components() {
		p.rows = nil
		p.assignRows(component)
		p.orderRows()
		p.assignPlaces()
		left = p.shift(component, left) + 2*gapX
	}
	p.bounds()
	return p
}

// neighbours returns the nodes that each node is connected to.
func (d *drawing) neighbours() [][]int {
	out := make([][]int, len(d.nodes))
	for _, e := range d.edges {
		if e.a != e.b {
			out[e.a] = append(out[e.a], e.b)
			out[e.b] = append(out[e.b], e.a)
		}
	}
	return out
}

// components splits the nodes into connected components. The first node of each is its root.
func (d *drawing) components() [][]int {
	near, seen := d.neighbours(), make([]bool, len(d.nodes))
	var components [][]int
	for _, root := range d.rootOrder(near) {
		if seen[root] {
			continue
		}
		component := breadthFirst([]int{root}, near)
		for _, n := range component {
			seen[n] = true
		}
		components = append(components, component)
	}
	return components
}

// roots returns the root of each component.
func (d *drawing) roots() (roots []int) {
	for _, component := range d.components() {
		roots = append(roots, component[0])
	}
	return roots
}

// rootOrder sorts the nodes; the first node of a component is its root. Uplinks are first, then the
// machine, then the other nodes: those with the smallest maxDistance first, and if it is equal, those
// with the most lines.
func (d *drawing) rootOrder(near [][]int) []int {
	order := make([]int, len(d.nodes))
	for i := range order {
		order[i] = i
	}
	rank := func(i int) int {
		switch d.nodes[i].kind {
		case uplinkNode:
			return 0
		case machineNode:
			return 1
		}
		return 2
	}
	far := make([]int, len(d.nodes))
	for i := range far {
		if len(far) <= maxMeasured {
			far[i] = maxDistance(i, near)
		}
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := order[i], order[j]
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(far[a], far[b]), cmp.Compare(len(near[b]), len(near[a]))) < 0
	})
	return order
}

// maxMeasured is the largest number of nodes for which distances are computed: the cost is the
// square of that number.
const maxMeasured = 2000

// maxDistance returns the distance, in lines, from n to the node farthest from it. A node without
// lines is the worst root.
func maxDistance(n int, near [][]int) int {
	if len(near[n]) == 0 {
		return len(near)
	}
	steps := make([]int, len(near))
	queue := breadthFirst([]int{n}, near)
	for _, at := range queue {
		for _, next := range near[at] {
			if steps[next] == 0 && next != n {
				steps[next] = steps[at] + 1
			}
		}
	}
	return steps[queue[len(queue)-1]]
}

// assignRows puts a component's nodes into rows by their distance from the root. Nodes with
// the same neighbours as the root, such as the other spines of a leaf-spine network, share its row.
func (p *placed) assignRows(component []int) {
	near := p.neighbours()
	at := map[int]int{}
	p.rows = [][]int{nil}
	for _, n := range component {
		if n == component[0] || len(near[n]) > 1 && slices.Equal(sorted(near[n]), sorted(near[component[0]])) {
			at[n] = 0
			p.rows[0] = append(p.rows[0], n)
		}
	}
	for _, n := range breadthFirst(p.rows[0], near) {
		for _, far := range near[n] {
			if _, ok := at[far]; ok {
				continue
			}
			at[far] = at[n] + 1
			if len(p.rows) <= at[far] {
				p.rows = append(p.rows, nil)
			}
			p.rows[at[far]] = append(p.rows[at[far]], far)
		}
	}
	for r, row := range p.rows {
		for _, n := range row {
			p.row[n] = r
		}
	}
}

func sorted(list []int) []int { return slices.Sorted(slices.Values(list)) }

// breadthFirst returns the nodes in breadth-first order from the roots.
func breadthFirst(roots []int, near [][]int) []int {
	seen, queue := make([]bool, len(near)), slices.Clone(roots)
	for _, n := range roots {
		seen[n] = true
	}
	for k := 0; k < len(queue); k++ {
		for _, next := range near[queue[k]] {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return queue
}

// sweeps is the number of times that all rows are sorted: from the top row down, then from the bottom
// row up, and so on.
const sweeps = 8

// orderRows sorts each row by the mean position of its nodes' neighbours, in several sweeps.
func (p *placed) orderRows() {
	near := p.neighbours()
	place := make([]float64, len(p.nodes))
	number := func(row []int) {
		for i, n := range row {
			place[n] = (float64(i) + 0.5) / float64(len(row))
		}
	}
	for _, row := range p.rows {
		number(row)
	}
	for s := range sweeps {
		for k := range p.rows {
			r := k
			if s%2 == 1 {
				r = len(p.rows) - 1 - k
			}
			middle := make(map[int]float64, len(p.rows[r]))
			for _, n := range p.rows[r] {
				middle[n] = p.middle(n, near[n], place)
			}
			row := p.rows[r]
			sort.SliceStable(row, func(i, j int) bool { return middle[row[i]] < middle[row[j]] })
			number(p.rows[r])
		}
	}
}

// middle returns the mean position of the neighbours, or the node's own if it has none.
func (p *placed) middle(n int, near []int, place []float64) float64 {
	sum, count := 0.0, 0.0
	for _, far := range near {
		weight := 1.0
		if p.row[far] == p.row[n] {
			weight = 0.25 // neighbours in the same row count less
		}
		sum, count = sum+weight*place[far], count+weight
	}
	if count == 0 {
		return place[n]
	}
	return sum / count
}

// assignPlaces places the nodes of each row from left to right, then moves them towards the middle
// of their neighbours as far as the other nodes of the row permit.
func (p *placed) assignPlaces() {
	near := p.neighbours()
	y := margin + titleSpace
	for _, row := range p.rows {
		x, high := 0, 0
		for _, n := range row {
			p.x[n], p.y[n] = x, y
			x += p.w[n] + gapX
			high = max(high, p.h[n])
		}
		for _, n := range row {
			p.y[n] += (high - p.h[n]) / 2
		}
		y += high + gapY
	}
	for s := range 4 * sweeps {
		for k := range p.rows {
			r := k
			if s%2 == 1 {
				r = len(p.rows) - 1 - k
			}
			p.pull(p.rows[r], near)
		}
	}
}

// pull moves a row's nodes towards the middle of their neighbours in other rows, and keeps order
// and gaps. Nodes that would overlap move as one block.
func (p *placed) pull(row []int, near [][]int) {
	type block struct {
		nodes       []int
		ideal       float64 // the left edge of the block for which its nodes are, on average, at their idealLeft
		wide, count int
	}
	var blocks []block
	for _, n := range row {
		b := block{nodes: []int{n}, ideal: p.idealLeft(n, near[n]), wide: p.w[n], count: 1}
		for len(blocks) > 0 {
			prev := blocks[len(blocks)-1]
			if prev.ideal+float64(prev.wide+gapX) <= b.ideal {
				break
			}
			shifted := b.ideal - float64(prev.wide+gapX)
			b = block{
				nodes: append(prev.nodes, b.nodes...),
				ideal: (prev.ideal*float64(prev.count) + shifted*float64(b.count)) / float64(prev.count+b.count),
				wide:  prev.wide + gapX + b.wide,
				count: prev.count + b.count,
			}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		x := int(b.ideal)
		for _, n := range b.nodes {
			p.x[n] = x
			x += p.w[n] + gapX
		}
	}
}

// idealLeft returns the left edge that centres n over its neighbours.
func (p *placed) idealLeft(n int, near []int) float64 {
	sum, count := 0, 0
	for _, far := range near {
		if p.row[far] != p.row[n] {
			sum += p.x[far] + p.w[far]/2
			count++
		}
	}
	if count == 0 {
		return float64(p.x[n])
	}
	return float64(sum)/float64(count) - float64(p.w[n])/2
}

// shift moves a component so that it begins at left, and returns its right edge.
func (p *placed) shift(component []int, left int) (right int) {
	first := p.x[component[0]]
	for _, n := range component {
		first = min(first, p.x[n])
	}
	for _, n := range component {
		p.x[n] += left - first
		right = max(right, p.x[n]+p.w[n])
	}
	return right
}

func (p *placed) bounds() {
	p.size = [2]int{2 * margin, titleSpace + 2*margin}
	for n := range p.nodes {
		p.size[0] = max(p.size[0], p.x[n]+p.w[n]+margin)
		p.size[1] = max(p.size[1], p.y[n]+p.h[n]+margin)
	}
}
