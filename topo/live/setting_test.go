package live

import (
	"context"
	"errors"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

// TestEmptySysctlIsRestored: a sysctl whose former value is empty is empty again after a failed up, and after the last
// of the labs that set it.
func TestEmptySysctlIsRestored(t *testing.T) {
	const key = "net/ipv4/ip_local_reserved_ports"
	wantSysctl(t, key, "")
	lab := func(name string) (*Kernel, topo.State) {
		_, want := labtest.Compiled(t, "name: "+name+"\nhosts: {machine: {sysctls: "+
			"{net.ipv4.ip_local_reserved_ports: 8080}}, h"+name+": {run: ['true']}}\n")
		return openKernel(t, name), want
	}
	one, wantOne := lab("one")
	two, wantTwo := lab("two")
	failed := errors.New("no programs")
	_, err := one.Up(t.Context(), wantOne, func(_ topo.Plan, do topo.Do) topo.Do {
		return func(ctx context.Context, stage []topo.Step) error {
			if _, runs := stage[0].Object().(topo.Process); runs {
				wantSysctl(t, key, "8080")
				return failed
			}
			return do(ctx, stage)
		}
	})
	if !errors.Is(err, failed) {
		t.Errorf("up returned %v", err)
	}
	wantSysctl(t, key, "")
	for _, step := range []struct {
		kernel *Kernel
		want   topo.State
		value  string
	}{{one, wantOne, "8080"}, {two, wantTwo, "8080"}, {one, nil, "8080"}, {two, nil, ""}} {
		if step.want == nil {
			_, err = step.kernel.Down(t.Context(), nil)
		} else {
			_, err = step.kernel.Up(t.Context(), step.want, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		wantSysctl(t, key, step.value)
	}
}
