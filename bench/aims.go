package main

import (
	"fmt"
	"strings"
)

// An aim is what vnet has to show.
type aim struct {
	what  string
	unit  string // of the figure; "" for a ratio
	most  bool   // the limit is the most, not the least
	limit float64
	seen  func(results) (float64, error)
}

// a is vnet's figure at a work.
func a(work, name string) figure { return figure{work, ours, name} }

// times is how much more another one takes for up than vnet.
func times(work, contestant string) func(results) (float64, error) {
	return over(figure{work, contestant, up}, a(work, up))
}

func over(x, y figure) func(results) (float64, error) {
	return func(r results) (float64, error) { return r.ratio(x, y) }
}

// aHost is over, of what one of so many hosts costs.
func aHost(x figure, hosts int, y figure, of int) func(results) (float64, error) {
	return func(r results) (float64, error) {
		v, err := r.ratio(x, y)
		return v * float64(of) / float64(hosts), err
	}
}

func only(f figure, scale float64) func(results) (float64, error) {
	return func(r results) (float64, error) {
		v, err := r.median(f)
		return v * scale, err
	}
}

const (
	small, hundred, thousand, tenThousand = "nat 2", "star 100", "star 1000", "star 10x1000"
	manyPorts, tenPorts, noPorts          = "forwards 10000", "forwards 10", "forwards 1"
)

func aims() []aim {
	return []aim{
		{"a star of 1000: up, × the floor", "", true, 1.25, over(a(thousand, up), figure{thousand, theFloor, up})},
		{"a star of 1000: the script, × vnet", "", false, 25, times(thousand, steps)},
		{"a star of 1000: ip -batch, × vnet", "", false, 4, times(thousand, batches)},
		{"a star of 1000: mininet, × vnet", "", false, 12, times(thousand, mininets)},
		{"a star of 1000: CNI, × vnet", "", false, 7, times(thousand, plain)},
		{"a star of 1000: CNI with ipMasq, × vnet", "", false, 18, times(thousand, masqued)},
		{"the small case: up, more than the floor", "ms", true, 10,
			func(r results) (float64, error) { return r.difference(a(small, up), figure{small, theFloor, up}) }},
		{"the small case: the script, × vnet", "", false, 8, times(small, steps)},
		{"a host of 1000, × one of 100", "", true, 1.3, aHost(a(thousand, up), 1000, a(hundred, up), 100)},
		{"a host of 10 × 1000, × one of 1000", "", true, 1.3, aHost(a(tenThousand, up), 10000, a(thousand, up), 1000)},
		{"a star of 1000: up again, × the first", "", true, 0.15, over(a(thousand, again), a(thousand, up))},
		{"a star of 1000: one host more, × the first up", "", true, 0.2, over(a(thousand, add), a(thousand, up))},
		{"a star of 1000: down until gone, × the floor", "", true, 1.25, over(a(thousand, down), figure{thousand, theFloor, down})},
		{"up directly after down, in a row", "times", false, 100, only(figure{"cycles", ours, cycles}, 1)},
		{"connections through the last of 10 000 ports, × through one", "", false, 0.9,
			over(figure{manyPorts, byLab, rate}, figure{noPorts, byLab, rate})},
		{"connections through the last of 10 000 ports, × iptables-nft", "", false, 4,
			over(figure{manyPorts, byLab, rate}, figure{manyPorts, newTable, rate})},
		{"connections through the last of 10 000 ports, × iptables-legacy", "", false, 4,
			over(figure{manyPorts, byLab, rate}, figure{manyPorts, oldTable, rate})},
		{"one port more among 10 000, × among 10: nat add", "", true, 1.5,
			over(figure{manyPorts, byHand, onePort}, figure{tenPorts, byHand, onePort})},
		{"one port more among 10 000, × among 10: up of the changed lab", "", true, 1.5,
			over(figure{manyPorts, byLab, onePort}, figure{tenPorts, byLab, onePort})},
		{"a star of 1000: most memory held", "MB", true, 40, only(a(thousand, memory), 1)},
		{"the stripped binary", "MB", true, 8, only(figure{"binary", ours, "size"}, 1)},
		{"verify of all pairs of 200", "s", true, 10, only(a("verify 200", verify), 1e-3)},
	}
}

// writeAims says of each aim whether it holds.
func (r results) writeAims(b *strings.Builder) {
	b.WriteString("\n## The aims\n\n| | aim | seen | |\n|---|--:|--:|---|\n")
	for _, a := range aims() {
		sign := "≥"
		if a.most {
			sign = "≤"
		}
		seen, verdict := "–", "not measured"
		if v, err := a.seen(r); err == nil {
			seen, verdict = digits(v), "falls short"
			if a.most && v <= a.limit || !a.most && v >= a.limit {
				verdict = "holds"
			}
		}
		fmt.Fprintf(b, "| %s | %s %v %s | %s | %s |\n", a.what, sign, a.limit, a.unit, seen, verdict)
	}
	r.beside(b)
}

// beside is what the aims of size are to be held against.
func (r results) beside(b *strings.Builder) {
	f := func(work string) figure { return figure{work, theFloor, up} }
	if v, err := aHost(f(thousand), 1000, f(hundred), 100)(r); err == nil {
		fmt.Fprintf(b, "\nOf the floor, a host of 1000 costs %s × one of 100", digits(v))
		if v, err := aHost(f(tenThousand), 10000, f(thousand), 1000)(r); err == nil {
			fmt.Fprintf(b, ", and one of 10 × 1000 %s × one of 1000", digits(v))
		}
		b.WriteString(".\n")
	}
}

// digits writes a figure with as many as mean something.
func digits(v float64) string {
	switch {
	case v >= 1000 || v <= -1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
