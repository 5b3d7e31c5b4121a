package topo

import (
	"cmp"
	"slices"
)

// The boxes of a drawing are put in rows: the machine (or the best connected
// box) on top, what hangs on it below, and so on; within a row in the order
// that crosses few lines, and then over the middle of what they are joined to.

// A placed drawing has a place for each node.
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
			if len(near[end]) == 1 { // the label stands over it
				p.w[end] = max(p.w[end], width(e.label)*7)
			}
		}
	}
	left := margin
	for _, part := range p.parts() {
		p.rows = nil
		p.layer(part)
		p.order()
		p.spread()
		left = p.shift(part, left) + 2*gapX
	}
	p.bounds()
	return p
}

// neighbours lists what each node is joined to.
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

// parts splits the nodes into those that hang together; each begins with its
// root.
func (d *drawing) parts() [][]int {
	near, seen := d.neighbours(), make([]bool, len(d.nodes))
	var parts [][]int
	for _, root := range d.byRank(near) {
		if seen[root] {
			continue
		}
		part := breadth([]int{root}, near)
		for _, n := range part {
			seen[n] = true
		}
		parts = append(parts, part)
	}
	return parts
}

// roots returns the root of each part.
func (d *drawing) roots() (roots []int) {
	for _, part := range d.parts() {
		roots = append(roots, part[0])
	}
	return roots
}

// byRank orders nodes by how well they stand on top: what the outside comes
// through, the machine, then the one in the middle, from which the farthest is
// near, then the best connected.
func (d *drawing) byRank(near [][]int) []int {
	order := make([]int, len(d.nodes))
	for i := range order {
		order[i] = i
	}
	rank := func(i int) int {
		switch d.nodes[i].kind {
		case worldNode:
			return 0
		case machineNode:
			return 1
		}
		return 2
	}
	far := make([]int, len(d.nodes))
	for i := range far {
		if len(far) <= mostMeasured {
			far[i] = farthest(i, near)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(far[a], far[b]), cmp.Compare(len(near[b]), len(near[a])))
	})
	return order
}

// mostMeasured bounds the labs whose middle is looked for; it takes the square
// of their size.
const mostMeasured = 2000

// farthest is how many lines it is from n to the node farthest from it; a node
// without lines is the worst root of all.
func farthest(n int, near [][]int) int {
	if len(near[n]) == 0 {
		return len(near)
	}
	steps := make([]int, len(near))
	queue := breadth([]int{n}, near)
	for _, at := range queue {
		for _, next := range near[at] {
			if steps[next] == 0 && next != n {
				steps[next] = steps[at] + 1
			}
		}
	}
	return steps[queue[len(queue)-1]]
}

// layer puts the part's nodes into rows by their distance from its root, or
// from one that is joined to just the same, as the spines of a fabric are.
func (p *placed) layer(part []int) {
	near := p.neighbours()
	at := map[int]int{}
	p.rows = [][]int{nil}
	for _, n := range part {
		if n == part[0] || len(near[n]) > 1 && slices.Equal(sorted(near[n]), sorted(near[part[0]])) {
			at[n] = 0
			p.rows[0] = append(p.rows[0], n)
		}
	}
	for _, n := range breadth(p.rows[0], near) {
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

// breadth lists the nodes in the order in which they are met from the roots.
func breadth(roots []int, near [][]int) []int {
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

const sweeps = 8

// order sorts each row by the middle of what its nodes are joined to in the
// rows beside it, down and up a few times.
func (p *placed) order() {
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
			slices.SortStableFunc(p.rows[r], func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
			number(p.rows[r])
		}
	}
}

// middle is the mean place of the neighbours, its own if it has none.
func (p *placed) middle(n int, near []int, place []float64) float64 {
	sum, count := 0.0, 0.0
	for _, far := range near {
		weight := 1.0
		if p.row[far] == p.row[n] {
			weight = 0.25 // the same row draws a little
		}
		sum, count = sum+weight*place[far], count+weight
	}
	if count == 0 {
		return place[n]
	}
	return sum / count
}

// spread gives the nodes of each row places from left to right, then moves
// them under and over the middle of what they are joined to, as far as the
// others of the row let them.
func (p *placed) spread() {
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

// pull moves a row's nodes towards the middle of their neighbours in other
// rows, keeping order and gaps: what is pushed together shares the way.
func (p *placed) pull(row []int, near [][]int) {
	type block struct {
		nodes      []int
		want       float64 // the mean of what its nodes want its left edge to be
		wide, pull int
	}
	var blocks []block
	for _, n := range row {
		b := block{nodes: []int{n}, want: p.wanted(n, near[n]), wide: p.w[n], pull: 1}
		for len(blocks) > 0 {
			prev := blocks[len(blocks)-1]
			if prev.want+float64(prev.wide+gapX) <= b.want {
				break
			}
			shifted := b.want - float64(prev.wide+gapX)
			b = block{
				nodes: append(prev.nodes, b.nodes...),
				want:  (prev.want*float64(prev.pull) + shifted*float64(b.pull)) / float64(prev.pull+b.pull),
				wide:  prev.wide + gapX + b.wide,
				pull:  prev.pull + b.pull,
			}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		x := int(b.want)
		for _, n := range b.nodes {
			p.x[n] = x
			x += p.w[n] + gapX
		}
	}
}

// wanted is the left edge that puts n over the middle of its neighbours.
func (p *placed) wanted(n int, near []int) float64 {
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

// shift moves a part so that it begins at left, and returns where it ends.
func (p *placed) shift(part []int, left int) (right int) {
	first := p.x[part[0]]
	for _, n := range part {
		first = min(first, p.x[n])
	}
	for _, n := range part {
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
