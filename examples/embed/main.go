// Command embed shows vnet as a library: it brings a lab up, verifies it with packets, and
// takes it down. With [nsfs.Sandbox] it needs no root and changes nothing on the machine.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
	"github.com/vnet-lab/vnet/topo/verify"
)

//go:embed lab.yaml
var text []byte

func main() { os.Exit(nsfs.Sandbox(run)) }

func run() int {
	ctx := context.Background()
	topology, err := lab.Parse("lab.yaml", text) // returns all mistakes, each with its line
	err2 := topology.Fill(live.Machine{})        // what depends on this machine
	want, err3 := lab.Compile(topology)
	k, err4 := live.OpenKernel(ctx, topology.Name, nil)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, err = k.Up(ctx, want, nil) // all or nothing
	report := verify.Verify(ctx, topology, lab.Facts(topology))
	_, err2 = k.Down(ctx, nil) // everything with the lab's mark
	err = errors.Join(err, err2, report.WriteText(os.Stdout, false), k.Close())
	if err != nil || !report.OK() {
		fmt.Fprintf(os.Stderr, "%s; errors: %v\n", report.Summary(), err)
		return 1
	}
	return 0
}
