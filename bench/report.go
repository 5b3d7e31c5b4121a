package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// write writes RESULTS.md and the plot.
func (b *bench) write() error {
	var t strings.Builder
	fmt.Fprintf(&t, `# Benchmark results

Medians of several rounds. In each round, every tool made the network in a new sandbox, on Linux %s with %d
processors. bench checked each network, host by host, before it counted the time. Compare only the ratios, not times
of different runs or machines. `+"`make bench`"+` writes this page, and [the plot](plot.svg).
`, release(), runtime.NumCPU())
	b.results.writeTargets(&t)
	for _, w := range b.workloads {
		b.results.writeWorkload(&t, w)
	}
	b.results.writeVnet(&t, b.workloads)
	b.results.writeForwards(&t)
	writeList(&t, "Not run", b.missing)
	writeList(&t, "Failed", b.results.failures)
	if err := os.WriteFile(filepath.Join(b.out, "RESULTS.md"), []byte(t.String()), 0o644); err != nil {
		return err
	}
	return draw(filepath.Join(b.out, "plot.svg"), b.workloads, b.results)
}

// release returns the kernel's version without the distribution's suffix.
func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "?"
	}
	version, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return version
}

func writeList(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, l := range lines {
		fmt.Fprintf(b, "- %s\n", l)
	}
}

// A column of a table has a cell for each row, usually a tool.
type column struct {
	title string
	cell  func(tool string) (float64, error)
}

// writeTable writes a table with a row for each name, or nothing without names. It omits
// empty columns.
func writeTable(b *strings.Builder, title string, names []string, columns []column) {
	if len(names) == 0 {
		return
	}
	columns = slices.DeleteFunc(columns, func(c column) bool {
		return !slices.ContainsFunc(names, func(n string) bool { _, err := c.cell(n); return err == nil })
	})
	fmt.Fprintf(b, "\n## %s\n\n|", title)
	for _, c := range columns {
		b.WriteString(" | " + c.title)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|--:", len(columns)) + "|\n")
	for _, n := range names {
		b.WriteString("| " + n)
		for _, c := range columns {
			cell := "–"
			if v, err := c.cell(n); err == nil {
				cell = formatNumber(v)
			}
			b.WriteString(" | " + cell)
		}
		b.WriteString(" |\n")
	}
}

// toolsWith returns the tools with a figure of a workload, the smallest value first.
func (r results) toolsWith(workload, name string) []string {
	var names []string
	for c := range r.byWorkload[workload] {
		if len(r.all(figure{workload, c, name})) > 0 {
			names = append(names, c)
		}
	}
	value := func(c string) float64 { v, _ := r.median(figure{workload, c, name}); return v }
	slices.SortFunc(names, func(x, y string) int { return cmp.Compare(value(x), value(y)) })
	return names
}

// cells returns a column's cells with one figure of a workload, divided by a number.
func (r results) cells(workload, name string, by int) func(string) (float64, error) {
	return func(c string) (float64, error) {
		v, err := r.median(figure{workload, c, name})
		return v / float64(by), err
	}
}

// ratioCells returns a column's cells with the ratio of a figure to vnet's.
func (r results) ratioCells(workload, name string) func(string) (float64, error) {
	return func(c string) (float64, error) {
		return r.ratio(figure{workload, c, name}, figure{workload, vnetTool, name})
	}
}

func (r results) writeWorkload(b *strings.Builder, w workload) {
	n := w.Name()
	writeTable(b, w.Title(), r.toolsWith(n, up), []column{
		{"up, ms", r.cells(n, up, 1)},
		{"per host, ms", r.cells(n, up, w.Hosts())},
		{"× vnet", r.ratioCells(n, up)},
		{"CPU time, ms", r.cells(n, upCPU, 1)},
		{"memory, MB", r.cells(n, memory, 1)},
		{"system calls per host", r.cells(n, calls, w.Hosts())},
		{"one more host, ms", r.cells(n, add, 1)},
		{"down until gone, ms", r.cells(n, down, 1)},
		{"× vnet", r.ratioCells(n, down)},
	})
}

// writeVnet writes a table of figures that only vnet has.
func (r results) writeVnet(b *strings.Builder, workloads []workload) {
	var names []string
	for _, w := range workloads {
		if len(r.all(ofVnet(w.Name(), again))) > 0 {
			names = append(names, w.Name())
		}
	}
	of := func(name string, by figure) func(string) (float64, error) {
		return func(workload string) (float64, error) {
			if by.name != "" {
				return r.ratio(ofVnet(workload, name), ofVnet(workload, by.name))
			}
			return r.median(ofVnet(workload, name))
		}
	}
	first := figure{name: up}
	writeTable(b, "vnet only", names, []column{
		{"up again, ms", of(again, figure{})}, {"× the first up", of(again, first)},
		{"one more host, × the first up", of(add, first)},
		{"export, ms", of(export, figure{})}, {"verify all pairs, ms", of(verify, figure{})},
	})
}

func (r results) writeForwards(b *strings.Builder) {
	for _, f := range []struct{ title, name string }{
		{"New connections per second through the last forward, by number of forwards", rate},
		{"MB per second in one connection through the last forward, by number of forwards", flow},
		{"Adding one forward, by number of forwards, ms", onePort},
	} {
		var columns []column
		for _, ports := range portCounts {
			columns = append(columns, column{fmt.Sprint(ports), r.cells(forwardsName(ports), f.name, 1)})
		}
		names := r.toolsWith(forwardsName(portCounts[0]), f.name)
		slices.Sort(names)
		writeTable(b, f.title, names, columns)
	}
}
