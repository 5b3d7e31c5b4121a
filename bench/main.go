// Command bench does the same work by vnet and by its peers, side by side, and
// writes down what it cost.
//
//	for each work, round: floor · vnet · ip -batch · script · CNI · mininet …   (in turn)
//	                          │
//	             a sandbox of its own: up · check · again · export · add · down · gone?
//	                          │
//	                 medians and ratios ──▶ RESULTS.md, plot.svg
//
// The floor is a small C program that makes the same network by the fewest system
// calls: the limit of what a program outside the kernel can do. Each
// contestant's network is checked to be the same, host by host, before its time
// counts. Times of different runs cannot be compared; the ratios of one run can.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vnet-lab/vnet/nsfs"
)

// options are the command line's.
type options struct {
	works, only string
	rounds      int
	slow        int
	forwards    bool
	out         string
}

// everything is what is measured unless told otherwise.
const everything = "nat 2, star 10, star 100, star 1000, star 10x100, chain 10, chain 100, chain 1000, mesh 30, verify 200, star 10x1000"

func main() {
	log.SetFlags(log.Ltime)
	log.SetPrefix("bench: ")
	if len(os.Args) > 1 && os.Args[1] == "measure" {
		os.Exit(nsfs.Sandbox(measure))
	}
	var o options
	flag.StringVar(&o.works, "works", everything, "what to make, and of how many hosts")
	flag.StringVar(&o.only, "only", "", "only contestants whose name matches this expression")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each measurement is made; the median counts")
	flag.IntVar(&o.slow, "slow", 1000, "most hosts for contestants that start a process for each, or for each step")
	flag.BoolVar(&o.forwards, "forwards", true, "measure forwarded ports too")
	flag.StringVar(&o.out, "out", ".", "folder for RESULTS.md and plot.svg")
	flag.Parse()
	if err := o.run(); err != nil {
		log.Fatal(err)
	}
}

func (o options) run() error {
	works, err := worksOf(o.works)
	if err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	tools, err := build()
	if err != nil {
		return err
	}
	defer os.RemoveAll(tools)
	b := bench{rounds: o.rounds, tools: tools, only: only, out: o.out, works: works}
	b.contestants = b.choose(contestants(tools, o.slow))
	size, err := os.Stat(filepath.Join(tools, "vnet"))
	if err != nil {
		return err
	}
	b.results.add("binary", ours, measurement{"size": float64(size.Size()) / 1e6})
	b.runCycles()
	if o.forwards {
		b.runForwards()
	}
	return b.runWorks()
}

// build makes the programs that are measured, in a folder that it returns.
func build() (string, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"make", "-s", "-C", "..", "build", "OUT=" + filepath.Join(dir, "vnet")},
		{"cc", "-O2", "-Wall", "-o", filepath.Join(dir, "floor"), "floor/floor.c"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, text)
		}
	}
	return dir, nil
}

// A bench is one run.
type bench struct {
	rounds      int
	tools       string
	only        *regexp.Regexp
	out         string // folder
	works       []work
	contestants []contestant
	results     results
	// absent are contestants that did not take part, each with the reason.
	absent []string
}

func (b *bench) choose(all []contestant) []contestant {
	var chosen []contestant
	for _, c := range all {
		if !b.only.MatchString(c.name) {
			continue
		}
		if missing := c.missing(); missing != "" {
			b.absent = append(b.absent, fmt.Sprintf("%s (no %s on this machine)", c.name, missing))
			continue
		}
		chosen = append(chosen, c)
	}
	return chosen
}

// runWorks lets the contestants take turns, so that a machine that gets slower
// gets slower for all. What there is is written after each work, so that a run
// that is cut short leaves something.
func (b *bench) runWorks() error {
	for _, w := range b.works {
		for round := range b.roundsOf(w) {
			for _, c := range b.contestants {
				if c.takes(w, round) {
					b.take(w.Name(), c.name, func(dir folder) job { return c.job(w, dir) })
				}
			}
		}
		if w.Shape == "star" && w.Hosts() <= 100 {
			b.trace(w)
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// roundsOf is more where one takes no time.
func (b *bench) roundsOf(w work) int {
	switch hosts := w.Hosts(); {
	case hosts <= 10:
		return 3 * b.rounds
	case hosts > 1000:
		return max(1, b.rounds/2)
	}
	return b.rounds
}

// trace counts the system calls of a work, apart from the times; those of the slow
// where there are few hosts.
func (b *bench) trace(w work) {
	if _, err := exec.LookPath("strace"); err != nil {
		b.absent = append(b.absent, "counting system calls (no strace on this machine)")
		return
	}
	for _, c := range b.contestants {
		if c.takes(w, 0) && (!c.slow || w.Hosts() <= 10) {
			b.take(w.Name(), c.name, func(dir folder) job {
				j := c.job(w, dir)
				j.Trace = true
				return j
			})
		}
	}
}

// runCycles makes a network and takes it away, a hundred times in a row.
func (b *bench) runCycles() {
	w := work{Shape: "star", Switches: 1, Each: 10}
	for _, c := range b.contestants {
		if c.name == ours {
			b.take("cycles", c.name, func(dir folder) job {
				j := c.job(w, dir)
				j.Cycles = 100
				return j
			})
		}
	}
}

// job is what the contestant does for a work. Only stars grow.
func (c contestant) job(w work, dir folder) job {
	j := c.prepare(w, dir)
	j.Work, j.Dir = w, string(dir)
	if w.Grows() == 0 {
		j.Add = nil
	}
	return j
}

// take makes one measurement, in a process and a sandbox of its own, and notes
// it.
func (b *bench) take(work, contestant string, prepare func(folder) job) {
	m, err := runJob(prepare)
	if err != nil {
		log.Printf("%s, %s: %v", work, contestant, err)
		b.results.fail(work, contestant, err)
		return
	}
	log.Printf("%-14s %-24s %v", work, contestant, m)
	b.results.add(work, contestant, m)
}

func runJob(prepare func(folder) job) (measurement, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	in, err := json.Marshal(prepare(folder(dir)))
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	cmd := exec.Command("/proc/self/exe", "measure")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	var m measurement
	return m, json.Unmarshal(out, &m)
}
