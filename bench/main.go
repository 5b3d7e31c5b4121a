// Command bench does the same work by vnet and by its peers, side by side, and
// writes down what it cost.
//
//	for each work, round: vnet · floor · ip -batch · script · CNI · mininet …   (in turn)
//	                          │
//	             a sandbox of its own: prepare · up · check · again · add · down · gone?
//	                          │
//	                 medians and ratios ──▶ RESULTS.md, plot.svg
//
// The floor is a small C program that makes the same network by the fewest system
// calls: the limit of what a program outside the kernel can do. Each
// contestant's network is checked to be the same before its time counts. Times
// of different runs cannot be compared; the ratios of one run can.
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

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	if len(os.Args) > 1 && os.Args[1] == "measure" {
		os.Exit(nsfs.Sandbox(measure))
	}
	rounds := flag.Int("rounds", 3, "how often each measurement is made; the median counts")
	sizes := flag.String("sizes", "2,10,100,1000", "hosts of a star")
	only := flag.String("only", "", "only contestants whose name matches this expression")
	slow := flag.Int("slow", 1000, "most hosts for contestants that start a process for each, or for each step")
	out := flag.String("out", ".", "folder for RESULTS.md and plot.svg")
	flag.Parse()
	works, err := worksOf(*sizes)
	if err != nil {
		log.Fatal(err)
	}
	tools, err := build()
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tools)
	results := runAll(works, choose(contestants(tools, *slow), *only), *rounds)
	if err := write(*out, works, results); err != nil {
		log.Fatal(err)
	}
}

// build makes the programs that are measured, in a folder that it returns.
func build() (string, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"make", "-s", "-C", "..", "build", "OUT=" + filepath.Join(dir, "vnet")},
		{"cc", "-O2", "-o", filepath.Join(dir, "floor"), "floor/floor.c"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, text)
		}
	}
	return dir, nil
}

func choose(all []contestant, only string) []contestant {
	var chosen []contestant
	for _, c := range all {
		if only != "" && !regexp.MustCompile(only).MatchString(c.name) {
			continue
		}
		if missing := c.missing(); missing != "" {
			log.Printf("%s does not take part: no %s on this machine", c.name, missing)
			continue
		}
		chosen = append(chosen, c)
	}
	return chosen
}

// runAll lets the contestants take turns, so that a machine that gets slower gets
// slower for all.
func runAll(works []work, all []contestant, rounds int) results {
	r := results{}
	for _, w := range works {
		for range rounds {
			for _, c := range all {
				if w.Hosts() > c.most {
					continue
				}
				m, err := c.run(w)
				if err != nil {
					log.Printf("%s, %s: %v", w.Name(), c.name, err)
					continue
				}
				log.Printf("%-12s %-24s up %8.1f ms  down %8.1f ms", w.Name(), c.name, ms(m.Up), ms(m.Down))
				r.add(w, c.name, m)
			}
		}
	}
	return r
}

// run makes one measurement, in a process and a sandbox of its own.
func (c contestant) run(w work) (measurement, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return measurement{}, err
	}
	defer os.RemoveAll(dir)
	j := c.prepare(w, folder(dir))
	j.Work = w
	j.Dir = dir
	cmd := exec.Command("/proc/self/exe", "measure")
	in, err := json.Marshal(j)
	if err != nil {
		return measurement{}, err
	}
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return measurement{}, err
	}
	var m measurement
	return m, json.Unmarshal(out, &m)
}
