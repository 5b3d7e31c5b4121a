package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A workload is a shape and a size of network.
type workload struct {
	Shape   string // star, nat, chain, mesh, verify
	Bridges int    // of a star; 1 for other shapes
	Each    int    // hosts per bridge, or all of them
}

// shapes are the possible shapes. verify is a star.
var shapes = []string{"star", "nat", "chain", "mesh", "verify"}

// parseWorkloads reads workloads such as "star 10, star 10x1000, nat 2, chain 100, mesh 30".
func parseWorkloads(list string) ([]workload, error) {
	var workloads []workload
	for _, text := range strings.Split(list, ",") {
		shape, size, _ := strings.Cut(strings.TrimSpace(text), " ")
		bridges, each, many := strings.Cut(size, "x")
		if !many {
			bridges, each = "1", size
		}
		w := workload{Shape: shape, Bridges: number(bridges), Each: number(each)}
		if !slices.Contains(shapes, shape) || w.Hosts() < 1 || many && shape != "star" {
			return nil, fmt.Errorf("%q is no workload: expected one of %s, and a number of hosts",
				text, strings.Join(shapes, ", "))
		}
		workloads = append(workloads, w)
	}
	return workloads, nil
}

// number returns the number in a text, or 0.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// Hosts returns the number of all hosts.
func (w workload) Hosts() int { return w.Bridges * w.Each }

// Name identifies a workload in the results; parseWorkloads reads it.
func (w workload) Name() string {
	if w.Bridges > 1 {
		return fmt.Sprintf("%s %dx%d", w.Shape, w.Bridges, w.Each)
	}
	return fmt.Sprintf("%s %d", w.Shape, w.Each)
}

// Title returns the heading in RESULTS.md.
func (w workload) Title() string {
	switch {
	case w.Shape == "nat":
		return fmt.Sprintf("The small case: %d hosts on a bridge, masquerade", w.Each)
	case w.Shape == "chain":
		return fmt.Sprintf("A chain of %d routers", w.Each)
	case w.Shape == "verify":
		return fmt.Sprintf("A star of %d hosts, verified", w.Each)
	case w.Shape == "mesh":
		return fmt.Sprintf("A full mesh of %d hosts, %d veth pairs", w.Each, w.Each*(w.Each-1)/2)
	case w.Bridges > 1:
		return fmt.Sprintf("%d stars of %d hosts", w.Bridges, w.Each)
	}
	return fmt.Sprintf("A star of %d hosts", w.Each)
}

// Network returns the network of the workload, with extra hosts.
func (w workload) Network(more int) network {
	switch w.Shape {
	case "chain":
		return chain(w.Each + more)
	case "mesh":
		return mesh(w.Each + more)
	}
	n := star(w.Bridges, w.Each, more)
	n.NAT = w.Shape == "nat"
	return n
}

// ExtraHosts returns the number of hosts to add to the network: one to a star.
func (w workload) ExtraHosts() int {
	if w.Shape == "star" {
		return 1
	}
	return 0
}
