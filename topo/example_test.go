package topo_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
)

// A plan is the difference between two states. It can be printed, applied and reversed. Here the
// function that gets the steps only prints them; package live has one that works on the kernel.
func Example() {
	have := topo.NewState(topo.Namespace{Name: "red"})
	want := topo.NewState(
		topo.Namespace{Name: "red"},
		topo.Dummy{Link: topo.Link{NS: "red", Name: "d0", MAC: topo.MAC{2, 0, 0, 0, 0, 1}}},
		topo.Up{NS: "red", Link: "d0"},
		topo.Address{NS: "red", Link: "d0", Prefix: netip.MustParsePrefix("10.0.0.1/32")},
	)
	plan := topo.Diff(have, want)
	show := func(_ context.Context, stage []topo.Step) error {
		for _, step := range stage {
			fmt.Println(step)
		}
		return nil
	}
	if err := topo.Apply(context.Background(), plan, show); err != nil {
		fmt.Println(err)
	}
	fmt.Println("and back:")
	fmt.Print(plan.Reverse())
	// Output:
	// + red: link d0 address 02:00:00:00:00:01 type dummy
	// + red: link d0 up
	// + red: addr 10.0.0.1/32 dev d0
	// and back:
	// - red: addr 10.0.0.1/32 dev d0
	// - red: link d0 up
	// - red: link d0 address 02:00:00:00:00:01 type dummy
}
