package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// results has all measurements by workload and tool.
type results struct {
	byWorkload map[string]map[string][]measurement
	// failures are the distinct errors.
	failures []string
}

func (r *results) add(workload, tool string, m measurement) {
	if r.byWorkload == nil {
		r.byWorkload = map[string]map[string][]measurement{}
	}
	if r.byWorkload[workload] == nil {
		r.byWorkload[workload] = map[string][]measurement{}
	}
	r.byWorkload[workload][tool] = append(r.byWorkload[workload][tool], m)
}

// nftPosition matches the position in an nft error: its temporary file is deleted.
var nftPosition = regexp.MustCompile(`^/\S+: `)

// fail records the most useful line of an error.
func (r *results) fail(workload, tool string, err error) {
	lines := strings.Split(err.Error(), "\n")
	line := lines[0]
	hasError := func(l string) bool { return strings.Contains(strings.ToLower(l), "error: ") }
	if i := slices.IndexFunc(lines, hasError); i >= 0 {
		line = lines[i]
	}
	line = nftPosition.ReplaceAllString(line, "")
	if f := fmt.Sprintf("%s, %s: %s", workload, tool, line); !slices.Contains(r.failures, f) {
		r.failures = append(r.failures, f)
	}
}

// A figure identifies a value: workload, tool and name.
type figure struct{ workload, tool, name string }

func (f figure) String() string { return fmt.Sprintf("%s, %s, %s", f.workload, f.tool, f.name) }

// all returns a figure's values in the order of the rounds.
func (r results) all(f figure) []float64 {
	var all []float64
	for _, m := range r.byWorkload[f.workload][f.tool] {
		if v, ok := m[f.name]; ok {
			all = append(all, v)
		}
	}
	return all
}

// median returns the median of all rounds.
func (r results) median(f figure) (float64, error) {
	all := r.all(f)
	if len(all) == 0 {
		return 0, fmt.Errorf("%s: not measured", f)
	}
	return medianOf(all), nil
}

func medianOf(all []float64) float64 {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// ratio returns the median of the ratios of each round, because the machine's speed changes
// slowly. If the numbers of rounds differ, it returns the ratio of the medians.
func (r results) ratio(a, b figure) (float64, error) {
	return r.combine(a, b, func(x, y float64) float64 { return x / y })
}

// difference does the same for a minus b.
func (r results) difference(a, b figure) (float64, error) {
	return r.combine(a, b, func(x, y float64) float64 { return x - y })
}

func (r results) combine(a, b figure, with func(x, y float64) float64) (float64, error) {
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
	return medianOf(xs), nil
}
