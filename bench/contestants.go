package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// A contestant makes networks in its way.
type contestant struct {
	name string
	// shapes are the works that it can do.
	shapes []string
	// most are the hosts that it takes; with more, a round would take minutes.
	most int
	// slow ones start a process for each host or step: where there are many, they
	// get one round, and one switch is enough.
	slow    bool
	needs   []string // programs, by name or by path
	prepare func(w work, dir folder) job
}

// missing is a program that the contestant needs and the machine lacks; "" if
// none is.
func (c contestant) missing() string {
	for _, p := range c.needs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// takes says whether the contestant does this work in this round.
func (c contestant) takes(w work, round int) bool {
	rare := c.slow && w.Hosts() >= 100
	return slices.Contains(c.shapes, w.Shape) && w.Hosts() <= c.most && (!rare || round == 0 && w.Switches == 1)
}

// A folder is where a contestant keeps its files for one measurement.
type folder string

// write writes a file and returns its path.
func (f folder) write(name, text string) string {
	path := filepath.Join(string(f), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // a temporary folder of our own
	}
	return path
}

// Names of those that the aims speak of.
const (
	ours     = "vnet"
	theFloor = "floor"
	steps    = "ip, a process a step"
	batches  = "ip -batch"
	plain    = "CNI bridge"
	masqued  = "CNI bridge, ipMasq"
	mininets = "mininet"
	podmans  = "netavark, masquerading"
)

func contestants(tools string, slow int) []contestant {
	all, stars := []string{"star", "nat", "chain", "mesh"}, []string{"star"}
	natted := []string{"star", "nat"}
	bridge := cniPlugins + "/bridge"
	return []contestant{
		{name: theFloor, shapes: all, most: 10000, prepare: floor(filepath.Join(tools, "floor"))},
		{name: ours, shapes: append(all, "verify"), most: 10000, prepare: vnet(filepath.Join(tools, "vnet"))},
		{name: batches, shapes: all, most: 1000, needs: []string{"ip", "iptables"}, prepare: batch},
		{name: steps, shapes: all, most: slow, slow: true, needs: []string{"ip", "iptables"}, prepare: script},
		{name: plain, shapes: stars, most: slow, slow: true, needs: []string{bridge}, prepare: cni(false)},
		{name: masqued, shapes: natted, most: slow, slow: true, needs: []string{bridge, "iptables"}, prepare: cni(true)},
		{name: mininets, shapes: stars, most: slow, slow: true, needs: []string{"mn", "brctl", "/usr/bin/python3"}, prepare: mininet},
		{name: podmans, shapes: natted, most: min(slow, 100), slow: true, needs: []string{netavarkPath, "iptables"}, prepare: netavark},
	}
}

func floor(path string) func(work, folder) job {
	return func(w work, _ folder) job {
		args := []string{w.Shape, fmt.Sprint(w.Switches), fmt.Sprint(w.Each)}
		return job{Up: append([]string{path, "up"}, args...), Down: append([]string{path, "down"}, args...)}
	}
}

func vnet(path string) func(work, folder) job {
	return func(w work, dir folder) job {
		file, more := dir.write("lab.yaml", w.Network(0).Lab()), dir.write("more.yaml", w.Network(w.Grows()).Lab())
		j := job{
			Up: []string{path, "up", file}, Again: []string{path, "up", file}, Export: []string{path, "export", "bench"},
			Add: []string{path, "up", more}, Down: []string{path, "down", "bench"},
		}
		if w.Shape == "verify" {
			j.Verify = []string{path, "verify", file, "--all-pairs"}
		}
		return j
	}
}
