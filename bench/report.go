package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// results are all measurements, by work and contestant.
type results map[string]map[string][]measurement

func (r results) add(w work, contestant string, m measurement) {
	if r[w.Name()] == nil {
		r[w.Name()] = map[string][]measurement{}
	}
	r[w.Name()][contestant] = append(r[w.Name()][contestant], m)
}

// median is of one figure of a contestant's rounds; 0 if it was not measured.
func median(ms []measurement, figure func(measurement) time.Duration) time.Duration {
	if len(ms) == 0 {
		return 0
	}
	var all []time.Duration
	for _, m := range ms {
		all = append(all, figure(m))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func up(m measurement) time.Duration    { return m.Up }
func again(m measurement) time.Duration { return m.Again }
func add(m measurement) time.Duration   { return m.Add }
func down(m measurement) time.Duration  { return m.Down }

// ours is whom the ratios compare with.
const ours = "vnet"

func write(dir string, works []work, r results) error {
	var b strings.Builder
	b.WriteString("# What it costs\n\nMedians of rounds in which all took turns, each in a sandbox of its own. Only the ratios mean something;\n" +
		"times of another run or machine cannot be compared. `make bench` writes this page.\n")
	for _, w := range works {
		table(&b, w, r[w.Name()])
	}
	if err := os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	return draw(filepath.Join(dir, "plot.svg"), works, r)
}

func table(b *strings.Builder, w work, by map[string][]measurement) {
	fmt.Fprintf(b, "\n## %s\n\n| | up, ms | a host, ms | × vnet | down until gone, ms | × vnet |\n|---|--:|--:|--:|--:|--:|\n", w.Name())
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return int(median(by[x], up) - median(by[y], up)) })
	for _, name := range names {
		u, d := median(by[name], up), median(by[name], down)
		fmt.Fprintf(b, "| %s | %.1f | %.2f | %s | %.1f | %s |\n", name, ms(u), ms(u)/float64(w.Hosts()),
			ratio(u, median(by[ours], up)), ms(d), ratio(d, median(by[ours], down)))
	}
	if m := by[ours]; len(m) > 0 {
		fmt.Fprintf(b, "\nvnet: a second up %.1f ms (%s of the first), one host more %.1f ms (%s), peak memory %.1f MB.\n",
			ms(median(m, again)), ratio(median(m, again), median(m, up)), ms(median(m, add)), ratio(median(m, add), median(m, up)),
			float64(m[0].MaxRSS)/1024)
	}
}

func ratio(a, b time.Duration) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

// draw plots what a host costs against how many there are.
func draw(file string, works []work, r results) error {
	p := plot.New()
	p.Title.Text = "Making a star of hosts"
	p.X.Label.Text, p.Y.Label.Text = "hosts", "ms a host"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	lines := map[string]plotter.XYs{}
	for _, w := range works {
		for name, m := range r[w.Name()] {
			lines[name] = append(lines[name], plotter.XY{X: float64(w.Hosts()), Y: ms(median(m, up)) / float64(w.Hosts())})
		}
	}
	names := make([]string, 0, len(lines))
	for name := range lines {
		names = append(names, name)
	}
	slices.Sort(names)
	var args []any
	for _, name := range names {
		args = append(args, name, lines[name])
	}
	if err := plotutil.AddLinePoints(p, args...); err != nil {
		return err
	}
	return p.Save(18*vg.Centimeter, 12*vg.Centimeter, file)
}
