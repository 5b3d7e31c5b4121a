package main

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// draw plots what a host of a star costs against how many there are, if there was
// any star.
func draw(file string, works []work, r results) error {
	all := curves(works, r)
	if len(all) == 0 {
		return nil
	}
	p := plot.New()
	p.Title.Text = "Making a star of hosts"
	p.X.Label.Text, p.Y.Label.Text = "hosts", "ms a host"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	p.Y.Padding, p.X.Padding = vg.Points(5), vg.Points(5)
	if err := plotutil.AddLinePoints(p, all...); err != nil {
		return err
	}
	return p.Save(20*vg.Centimeter, 14*vg.Centimeter, file)
}

// curves are a name and points for each contestant. Several stars are drawn where
// one cannot be as large.
func curves(works []work, r results) []any {
	points := map[string]plotter.XYs{}
	var names []string
	for _, w := range works {
		if w.Shape != "star" || w.Switches > 1 && w.Hosts() <= 1000 {
			continue
		}
		for _, c := range r.by(w.Name(), up) {
			v, _ := r.median(figure{w.Name(), c, up}) // by lists only who has one
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
