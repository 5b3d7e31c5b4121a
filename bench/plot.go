package main

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// draw plots the time per host of stars against the number of hosts. Without stars it
// writes no file.
func draw(file string, workloads []workload, r results) error {
	all := curves(workloads, r)
	if len(all) == 0 {
		return nil
	}
	p := plot.New()
	p.Title.Text = "Making a star of hosts"
	p.X.Label.Text, p.Y.Label.Text = "hosts", "ms per host"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	p.Y.Padding, p.X.Padding = vg.Points(5), vg.Points(5)
	if err := plotutil.AddLinePoints(p, all...); err != nil {
		return err
	}
	return p.Save(20*vg.Centimeter, 14*vg.Centimeter, file)
}

// curves returns a name and points for each tool. Above 1000 hosts, it uses several
// stars, because one bridge has at most 1023 ports.
func curves(workloads []workload, r results) []any {
	points := map[string]plotter.XYs{}
	var names []string
	for _, w := range workloads {
		if w.Shape != "star" || w.Bridges > 1 && w.Hosts() <= 1000 {
			continue
		}
		for _, c := range r.toolsWith(w.Name(), up) {
			v, _ := r.median(figure{w.Name(), c, up}) // toolsWith returns only tools with this figure
			points[c] = append(points[c], plotter.XY{X: float64(w.Hosts()), Y: v / float64(w.Hosts())})
			if !slices.Contains(names, c) {
				names = append(names, c)
			}
		}
	}
	slices.Sort(names)
	var args []any
	for _, n := range names {
		args = append(args, n, points[n])
	}
	return args
}
