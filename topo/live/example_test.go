package live_test

import (
	"context"
	"fmt"

	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

// A lab is brought up, and taken down. It needs root, or a sandbox; see nsfs.Sandbox.
func Example() {
	topology, err := lab.Parse("lab.yaml", []byte(`
name: pair
hosts: {red: {}, blue: {}}
links:
  - {endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	want, err := lab.Compile(topology)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	k, err := live.OpenKernel(ctx, topology.Name, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer k.Close()
	made, err := k.Up(ctx, want, nil) // all of it, or nothing
	fmt.Println(len(made), "steps,", err)
	again, err := k.Up(ctx, want, nil)
	fmt.Println(len(again), "steps,", err)
	_, err = k.Down(ctx, nil)
	fmt.Println(err)
	// Output:
	// 13 steps, <nil>
	// 0 steps, <nil>
	// <nil>
}
