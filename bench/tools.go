package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// A tool makes networks: vnet, the floor, or a tool that vnet is compared with.
type tool struct {
	name string
	// shapes are the shapes of network that it can make.
	shapes []string
	// maxHosts is the largest number of hosts; a round with more would take minutes.
	maxHosts int
	// slow tools start a process for each host or step. With 100 hosts or more they
	// get one round, and only one bridge.
	slow    bool
	needs   []string // programs, by name or by path
	prepare func(w workload, dir folder) job
}

// missingProgram returns a program that the tool needs and the machine lacks, or "".
func (c tool) missingProgram() string {
	for _, p := range c.needs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// supports reports whether the tool makes this workload in this round.
func (c tool) supports(w workload, round int) bool {
	rare := c.slow && w.Hosts() >= 100
	return slices.Contains(c.shapes, w.Shape) && w.Hosts() <= c.maxHosts && (!rare || round == 0 && w.Bridges == 1)
}

// A folder has a tool's files for one measurement.
type folder string

// write writes a file and returns its path.
func (f folder) write(name, text string) string {
	path := filepath.Join(string(f), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // our own temporary folder
	}
	return path
}

// Names of tools, for the targets.
const (
	vnetTool     = "vnet"
	floorTool    = "floor"
	scriptTool   = "ip, a process per step"
	batchTool    = "ip -batch"
	cniTool      = "CNI bridge"
	cniMasqTool  = "CNI bridge, ipMasq"
	mininetTool  = "mininet"
	netavarkTool = "netavark, masquerade"
)

func allTools(tools string, slow int) []tool {
	all, stars := []string{"star", "nat", "chain", "mesh"}, []string{"star"}
	natShapes := []string{"star", "nat"}
	bridge := cniPlugins + "/bridge"
	return []tool{
		{name: floorTool, shapes: all, maxHosts: 10000, prepare: floor(filepath.Join(tools, "floor"))},
		{name: vnetTool, shapes: append(all, "verify"), maxHosts: 10000, prepare: vnet(filepath.Join(tools, "vnet"))},
		{name: batchTool, shapes: all, maxHosts: 1000, needs: []string{"ip", "iptables"}, prepare: batch},
		{name: scriptTool, shapes: all, maxHosts: slow, slow: true, needs: []string{"ip", "iptables"}, prepare: script},
		{name: cniTool, shapes: stars, maxHosts: slow, slow: true, needs: []string{bridge}, prepare: cni(false)},
		{name: cniMasqTool, shapes: natShapes, maxHosts: slow, slow: true,
			needs: []string{bridge, "iptables"}, prepare: cni(true)},
		{name: mininetTool, shapes: stars, maxHosts: slow, slow: true,
			needs: []string{"mn", "brctl", "/usr/bin/python3"}, prepare: mininet},
		{name: netavarkTool, shapes: natShapes, maxHosts: min(slow, 100), slow: true,
			needs: []string{netavarkPath, "iptables"}, prepare: netavark},
	}
}

func floor(path string) func(workload, folder) job {
	return func(w workload, _ folder) job {
		args := []string{w.Shape, fmt.Sprint(w.Bridges), fmt.Sprint(w.Each)}
		return job{Up: append([]string{path, "up"}, args...), Down: append([]string{path, "down"}, args...)}
	}
}

func vnet(path string) func(workload, folder) job {
	return func(w workload, dir folder) job {
		file, more := dir.write("lab.yaml", w.Network(0).Lab()), dir.write("more.yaml", w.Network(w.ExtraHosts()).Lab())
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
