// Command bench makes the same networks with vnet and with other tools, and writes the
// costs to RESULTS.md.
//
//	for each workload and round: floor · vnet · ip -batch · script · CNI · mininet …   (in turn)
//	                          │
//	             in a new sandbox: up · check · again · export · add · down · wait until gone
//	                          │
//	                 medians and ratios ──▶ RESULTS.md, plot.svg
//
// The floor is a small C program that makes the same network with the fewest system
// calls: no other program can be much faster. bench checks each tool's network, host by host;
// the times of a wrong network do not count. Compare only ratios of one run, never times of different
// runs.
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

// options are the flags of the command line.
type options struct {
	workloads, only string
	rounds          int
	slow            int
	forwards        bool
	out             string
}

// defaultWorkloads are measured without the flag -workloads.
const defaultWorkloads = "nat 2, star 10, star 100, star 1000, star 10x100, chain 10, chain 100, chain 1000, " +
	"mesh 30, verify 200, star 10x1000"

func main() {
	log.SetFlags(log.Ltime)
	log.SetPrefix("bench: ")
	if len(os.Args) > 1 && os.Args[1] == "measure" {
		os.Exit(nsfs.Sandbox(measure))
	}
	var o options
	flag.StringVar(&o.workloads, "workloads", defaultWorkloads, "shapes and sizes of networks")
	flag.StringVar(&o.only, "only", "", "only tools whose name matches this expression")
	flag.IntVar(&o.rounds, "rounds", 3, "number of rounds; the median counts")
	flag.IntVar(&o.slow, "slow", 1000, "maximum hosts for tools that start a process for each host or step")
	flag.BoolVar(&o.forwards, "forwards", true, "measure port forwards too")
	flag.StringVar(&o.out, "out", ".", "folder for RESULTS.md and plot.svg")
	flag.Parse()
	if err := o.run(); err != nil {
		log.Fatal(err)
	}
}

func (o options) run() error {
	workloads, err := parseWorkloads(o.workloads)
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
	b := bench{rounds: o.rounds, binDir: tools, filter: only, out: o.out, workloads: workloads}
	b.tools = b.chooseTools(allTools(tools, o.slow))
	size, err := os.Stat(filepath.Join(tools, "vnet"))
	if err != nil {
		return err
	}
	b.results.add("binary", vnetTool, measurement{"size": float64(size.Size()) / 1e6})
	b.runCycles()
	if o.forwards {
		b.runForwards()
		b.runGuard()
	}
	return b.runWorkloads()
}

// build builds vnet and the floor in a new folder, and returns it.
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
	rounds    int
	binDir    string
	filter    *regexp.Regexp
	out       string // folder
	workloads []workload
	tools     []tool
	results   results
	// missing are tools that did not run, with the reason.
	missing []string
}

func (b *bench) chooseTools(all []tool) []tool {
	var chosen []tool
	for _, c := range all {
		if !b.filter.MatchString(c.name) {
			continue
		}
		if missing := c.missingProgram(); missing != "" {
			b.missing = append(b.missing, fmt.Sprintf("%s (no %s on this machine)", c.name, missing))
			continue
		}
		chosen = append(chosen, c)
	}
	return chosen
}

// runWorkloads runs the tools in turns, so that a change in the machine's speed affects
// all of them. It writes the results after each workload, so that an interrupted run leaves
// results.
func (b *bench) runWorkloads() error {
	for _, w := range b.workloads {
		for round := range b.roundsOf(w) {
			for _, c := range b.tools {
				if c.supports(w, round) {
					b.measure(w.Name(), c.name, func(dir folder) job { return c.job(w, dir) })
				}
			}
		}
		if w.Shape == "star" && w.Hosts() <= 100 {
			b.countCalls(w)
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// roundsOf returns the number of rounds: more for small workloads.
func (b *bench) roundsOf(w workload) int {
	switch hosts := w.Hosts(); {
	case hosts <= 10:
		return 3 * b.rounds
	case hosts > 1000:
		return max(1, b.rounds/2)
	}
	return b.rounds
}

// countCalls counts the system calls of a workload in a separate run; for slow tools only
// with few hosts.
func (b *bench) countCalls(w workload) {
	if _, err := exec.LookPath("strace"); err != nil {
		b.missing = append(b.missing, "counting system calls (no strace on this machine)")
		return
	}
	for _, c := range b.tools {
		if c.supports(w, 0) && (!c.slow || w.Hosts() <= 10) {
			b.measure(w.Name(), c.name, func(dir folder) job {
				j := c.job(w, dir)
				j.Trace = true
				return j
			})
		}
	}
}

// runCycles brings a network up and down a hundred times.
func (b *bench) runCycles() {
	w := workload{Shape: "star", Bridges: 1, Each: 10}
	for _, c := range b.tools {
		if c.name == vnetTool {
			b.measure("cycles", c.name, func(dir folder) job {
				j := c.job(w, dir)
				j.Cycles = 100
				return j
			})
		}
	}
}

// job returns the commands of the tool for a workload. Only stars get one more host.
func (c tool) job(w workload, dir folder) job {
	j := c.prepare(w, dir)
	j.Workload, j.Dir = w, string(dir)
	if w.ExtraHosts() == 0 {
		j.Add = nil
	}
	return j
}

// measure runs one measurement in a new process and sandbox, and adds the result.
func (b *bench) measure(workload, tool string, prepare func(folder) job) {
	m, err := runJob(prepare)
	if err != nil {
		log.Printf("%s, %s: %v", workload, tool, err)
		b.results.fail(workload, tool, err)
		return
	}
	log.Printf("%-14s %-24s %v", workload, tool, m)
	b.results.add(workload, tool, m)
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
	var output strings.Builder
	cmd := exec.Command("/proc/self/exe", "measure")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), &output
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(output.String()))
	}
	var m measurement
	return m, json.Unmarshal(out, &m)
}
