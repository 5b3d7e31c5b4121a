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

// write writes what was measured.
func (b *bench) write() error {
	var t strings.Builder
	fmt.Fprintf(&t, `# What it costs

Medians of rounds in which all took turns, each in a sandbox of its own, on Linux %s with %d processors.
Each network was checked to be the same, host by host, before its time counted. Only the ratios mean something; times of
another run or machine cannot be compared. `+"`make bench`"+` writes this page, and [the plot](plot.svg).
`, release(), runtime.NumCPU())
	b.results.writeAims(&t)
	for _, w := range b.works {
		b.results.writeWork(&t, w)
	}
	b.results.writeOurs(&t, b.works)
	b.results.writeForwards(&t)
	notes(&t, "Did not take part", b.absent)
	notes(&t, "Did not work", b.results.failures)
	if err := os.WriteFile(filepath.Join(b.out, "RESULTS.md"), []byte(t.String()), 0o644); err != nil {
		return err
	}
	return draw(filepath.Join(b.out, "plot.svg"), b.works, b.results)
}

// release is the kernel's version, without what its builder adds.
func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "?"
	}
	version, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return version
}

func notes(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, l := range lines {
		fmt.Fprintf(b, "- %s\n", l)
	}
}

// A column is of a table with a row for each contestant.
type column struct {
	title string
	cell  func(contestant string) (float64, error)
}

// writeTable writes a row for each of the names, if there are any. A column without any
// figure is left out.
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
				cell = digits(v)
			}
			b.WriteString(" | " + cell)
		}
		b.WriteString(" |\n")
	}
}

// by lists who has a figure at a work, the least first.
func (r results) by(work, name string) []string {
	var names []string
	for c := range r.of[work] {
		if len(r.all(figure{work, c, name})) > 0 {
			names = append(names, c)
		}
	}
	value := func(c string) float64 { v, _ := r.median(figure{work, c, name}); return v }
	slices.SortFunc(names, func(x, y string) int { return cmp.Compare(value(x), value(y)) })
	return names
}

// of returns cells with one figure of a work, each divided by so many.
func (r results) cells(work, name string, by int) func(string) (float64, error) {
	return func(c string) (float64, error) {
		v, err := r.median(figure{work, c, name})
		return v / float64(by), err
	}
}

// against returns cells with one figure of a work, × vnet's.
func (r results) against(work, name string) func(string) (float64, error) {
	return func(c string) (float64, error) { return r.ratio(figure{work, c, name}, figure{work, ours, name}) }
}

func (r results) writeWork(b *strings.Builder, w work) {
	n := w.Name()
	writeTable(b, w.Title(), r.by(n, up), []column{
		{"up, ms", r.cells(n, up, 1)},
		{"a host, ms", r.cells(n, up, w.Hosts())},
		{"× vnet", r.against(n, up)},
		{"its processes', ms", r.cells(n, upCPU, 1)},
		{"memory, MB", r.cells(n, memory, 1)},
		{"system calls a host", r.cells(n, calls, w.Hosts())},
		{"one host more, ms", r.cells(n, add, 1)},
		{"down until gone, ms", r.cells(n, down, 1)},
		{"× vnet", r.against(n, down)},
	})
}

// writeOurs is what only vnet does.
func (r results) writeOurs(b *strings.Builder, works []work) {
	var names []string
	for _, w := range works {
		if len(r.all(a(w.Name(), again))) > 0 {
			names = append(names, w.Name())
		}
	}
	of := func(name string, by figure) func(string) (float64, error) {
		return func(work string) (float64, error) {
			if by.name != "" {
				return r.ratio(a(work, name), a(work, by.name))
			}
			return r.median(a(work, name))
		}
	}
	first := figure{name: up}
	writeTable(b, "vnet alone", names, []column{
		{"up again, ms", of(again, figure{})}, {"× the first", of(again, first)},
		{"one host more, × the first", of(add, first)},
		{"export, ms", of(export, figure{})}, {"verify of all pairs, ms", of(verify, figure{})},
	})
}

func (r results) writeForwards(b *strings.Builder) {
	for _, f := range []struct{ title, name string }{
		{"New connections a second through the last of so many forwarded ports", rate},
		{"MB a second in one connection through the last of so many forwarded ports", flow},
		{"Publishing one port more among so many, ms", onePort},
	} {
		var columns []column
		for _, ports := range portCounts {
			columns = append(columns, column{fmt.Sprint(ports), r.cells(forwards(ports), f.name, 1)})
		}
		names := r.by(forwards(portCounts[0]), f.name)
		slices.Sort(names)
		writeTable(b, f.title, names, columns)
	}
}
