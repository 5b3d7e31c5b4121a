package live

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/topo"
)

// Apply with Do does the same as Up: the objects of the lab and the settings that are in no object.
func TestDoWithoutUp(t *testing.T) {
	eachExample(t, func(t *testing.T, k *Kernel, want topo.State) {
		before := machineState(t)
		plan, err := k.Plan(want)
		if err != nil {
			t.Fatal(err)
		}
		if err := topo.Apply(t.Context(), plan, k.Do); err != nil {
			t.Fatal(err)
		}
		have, err := k.Snapshot(want)
		if err != nil {
			t.Fatal(err)
		}
		if !have.Equal(want) {
			t.Errorf("-want +got:\n%s", cmp.Diff(want.String(), have.String()))
		}
		checkIPv6Settings(t, want)
		if err := topo.Apply(t.Context(), plan.Reverse(), k.Do); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	})
}
