//go:build linux

package topo

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// TestWaves: a lab comes up in waves, and the kernel finds the namespaces of a later one
// before those of the ones before it.
func TestWaves(t *testing.T) {
	const hosts, size = 10, 4
	lab, want := compiled(t, starOf(hosts))
	k := openKernel(t, lab)
	if _, err := k.Snapshot(want); err != nil {
		t.Fatal(err)
	}
	plan := diff(nil, want, size)
	var kinds []Kind
	for _, stage := range plan.Stages() {
		kinds = append(kinds, stage[0].Object().Key().Kind)
	}
	wave := []Kind{OfNamespace, OfLink, OfQuiet}
	if want := slices.Concat(wave, wave, wave); !slices.Equal(kinds[:len(want)], want) {
		t.Errorf("stages of %v, want them to begin with %v", kinds, want)
	}
	if last := plan[len(plan)-1].Want; last.Key().NS != "" {
		t.Errorf("the last step is %v, want one for the machine's switch", last)
	}

	k.voices = plan.voices(nil, want)
	k.falling.Store(hosts)
	if err := Apply(t.Context(), plan, k.Do); err != nil {
		t.Fatal(err)
	}
	if err := k.proves(t.Context(), want, plan); err != nil {
		t.Fatal(err)
	}
	lowest := int32(math.MaxInt32)
	for w := range (hosts + size - 1) / size {
		before := lowest
		for h := w * size; h < min(hosts, (w+1)*size); h++ {
			id := idOf(t, k, fmt.Sprintf("h%d", h+1))
			if lowest = min(lowest, id); id >= before {
				t.Errorf("h%d, of wave %d, has id %d; the wave before has %d", h+1, w, id, before)
			}
		}
	}
	if lowest != 0 {
		t.Errorf("the lowest id is %d, want 0", lowest)
	}
}

// idOf is the id that a host's namespace has in the machine's.
func idOf(t *testing.T, k *Kernel, host string) int32 {
	t.Helper()
	s, err := k.space(host)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := s.file()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	id, err := k.machine().conn.NSID(ns)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestCountDown: the namespaces of a plan are numbered if they are too many for one wave, from
// above those that have a number.
func TestCountDown(t *testing.T) {
	k := openKernel(t, "many")
	there, err := k.machine().conn.NSIDs()
	if err != nil {
		t.Fatal(err)
	}
	var plan Plan
	for n := range waveHosts {
		plan = append(plan, Step{Want: Namespace{Name: fmt.Sprintf("h%d", n)}})
	}
	if k.countDown(plan); k.falling.Load() != 0 {
		t.Errorf("those of one wave are numbered from %d", k.falling.Load())
	}
	plan = append(plan, Step{Want: Namespace{Name: "more"}})
	if k.countDown(plan); int(k.falling.Load()) != waveHosts+1+len(there) {
		t.Errorf("numbered from %d, want %d and %d that are there", k.falling.Load(), waveHosts+1, len(there))
	}
}
