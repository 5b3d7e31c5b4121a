// Command embed shows vnet as a library: a lab comes up, is proved with packets, and goes
// away. It needs no root and does no harm; without [nsfs.Sandbox] it would.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

//go:embed lab.yaml
var text []byte

func main() { os.Exit(nsfs.Sandbox(run)) }

func run() int {
	ctx := context.Background()
	lab, err := topo.Parse("lab.yaml", text) // all mistakes at once, each with its line
	want, err2 := topo.Compile(lab)
	k, err3 := topo.OpenKernel(ctx, lab.Name, nil)
	if err := errors.Join(err, err2, err3); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, err = k.Up(ctx, want, nil) // whole or not at all
	report := topo.Verify(ctx, lab, topo.Facts(lab))
	_, err2 = k.Down(ctx, nil) // all that carries the lab's mark
	err = errors.Join(err, err2, report.WriteText(os.Stdout, false), k.Close())
	if err != nil || !report.OK() {
		fmt.Fprintf(os.Stderr, "%s; errors: %v\n", report.Summary(), err)
		return 1
	}
	return 0
}
