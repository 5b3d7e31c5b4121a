package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A work is a shape and a size of network.
type work struct {
	Shape    string // star, nat, chain, mesh, verify
	Switches int    // of a star; 1 elsewhere
	Each     int    // hosts of a switch, or all of them
}

// shapes are all that a work can have. One to verify is a star.
var shapes = []string{"star", "nat", "chain", "mesh", "verify"}

// worksOf reads works such as "star 10, star 10x1000, nat 2, chain 100, mesh 30".
func worksOf(list string) ([]work, error) {
	var works []work
	for _, text := range strings.Split(list, ",") {
		shape, size, _ := strings.Cut(strings.TrimSpace(text), " ")
		switches, each, many := strings.Cut(size, "x")
		if !many {
			switches, each = "1", size
		}
		w := work{Shape: shape, Switches: number(switches), Each: number(each)}
		if !slices.Contains(shapes, shape) || w.Hosts() < 1 || many && shape != "star" {
			return nil, fmt.Errorf("%q is no work: one of %s, and how many hosts", text, strings.Join(shapes, ", "))
		}
		works = append(works, w)
	}
	return works, nil
}

// number is what a text says, or 0.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// Hosts is how many there are in all.
func (w work) Hosts() int { return w.Switches * w.Each }

// Name tells works apart in the results; it is what worksOf reads.
func (w work) Name() string {
	if w.Switches > 1 {
		return fmt.Sprintf("%s %dx%d", w.Shape, w.Switches, w.Each)
	}
	return fmt.Sprintf("%s %d", w.Shape, w.Each)
}

// Title is what a reader sees.
func (w work) Title() string {
	switch {
	case w.Shape == "nat":
		return fmt.Sprintf("The small case: %d hosts on a switch, masqueraded", w.Each)
	case w.Shape == "chain":
		return fmt.Sprintf("A chain of %d routers", w.Each)
	case w.Shape == "verify":
		return fmt.Sprintf("A star of %d hosts, to be verified", w.Each)
	case w.Shape == "mesh":
		return fmt.Sprintf("A full mesh of %d hosts, %d cables", w.Each, w.Each*(w.Each-1)/2)
	case w.Switches > 1:
		return fmt.Sprintf("%d stars of %d hosts", w.Switches, w.Each)
	}
	return fmt.Sprintf("A star of %d hosts", w.Each)
}

// Network is what the work asks for, with so many hosts more.
func (w work) Network(more int) network {
	switch w.Shape {
	case "chain":
		return chain(w.Each + more)
	case "mesh":
		return mesh(w.Each + more)
	}
	n := star(w.Switches, w.Each, more)
	n.NAT = w.Shape == "nat"
	return n
}

// Grows is how many hosts can be added to the network: to a star, one.
func (w work) Grows() int {
	if w.Shape == "star" {
		return 1
	}
	return 0
}
