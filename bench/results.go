package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// results are all measurements, by work and contestant.
type results struct {
	of map[string]map[string][]measurement
	// failures are what did not work, each told once.
	failures []string
}

func (r *results) add(work, contestant string, m measurement) {
	if r.of == nil {
		r.of = map[string]map[string][]measurement{}
	}
	if r.of[work] == nil {
		r.of[work] = map[string][]measurement{}
	}
	r.of[work][contestant] = append(r.of[work][contestant], m)
}

// place is where nft found an error: in a file that is gone by then.
var place = regexp.MustCompile(`^/\S+: `)

// fail notes the line of an error that says the most.
func (r *results) fail(work, contestant string, err error) {
	lines := strings.Split(err.Error(), "\n")
	line := lines[0]
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(strings.ToLower(l), "error: ") }); i >= 0 {
		line = lines[i]
	}
	line = place.ReplaceAllString(line, "")
	if f := fmt.Sprintf("%s, %s: %s", work, contestant, line); !slices.Contains(r.failures, f) {
		r.failures = append(r.failures, f)
	}
}

// A figure is one of a contestant's at a work.
type figure struct{ work, contestant, name string }

func (f figure) String() string { return fmt.Sprintf("%s, %s, %s", f.work, f.contestant, f.name) }

// all are a figure's values, in the order of the rounds.
func (r results) all(f figure) []float64 {
	var all []float64
	for _, m := range r.of[f.work][f.contestant] {
		if v, ok := m[f.name]; ok {
			all = append(all, v)
		}
	}
	return all
}

// median is that of all rounds.
func (r results) median(f figure) (float64, error) {
	all := r.all(f)
	if len(all) == 0 {
		return 0, fmt.Errorf("%s: not measured", f)
	}
	return middle(all), nil
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// ratio is the median of the rounds' own ratios, for a round is short and a
// machine's moods are long; or that of the medians, if one had fewer rounds.
func (r results) ratio(a, b figure) (float64, error) {
	return r.pair(a, b, func(x, y float64) float64 { return x / y })
}

// difference is the same, of a less b.
func (r results) difference(a, b figure) (float64, error) {
	return r.pair(a, b, func(x, y float64) float64 { return x - y })
}

func (r results) pair(a, b figure, with func(x, y float64) float64) (float64, error) {
	xs, ys := r.all(a), r.all(b)
	x, errA := r.median(a)
	y, errB := r.median(b)
	if err := errors.Join(errA, errB); err != nil {
		return 0, err
	}
	if len(xs) != len(ys) {
		return with(x, y), nil
	}
	for i := range xs {
		xs[i] = with(xs[i], ys[i])
	}
	return middle(xs), nil
}
