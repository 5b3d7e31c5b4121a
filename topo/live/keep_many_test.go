package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/rtnl"
)

// damagesEnv is the number of damages of TestKeepMany; make soak sets it.
const damagesEnv = "VNET_KEEP_DAMAGES"

// A usage is what a process has in use.
type usage struct {
	heap, resident    uint64 // bytes
	files, goroutines int
}

func usageNow(t *testing.T) (u usage) {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.heap, u.goroutines = m.HeapAlloc, runtime.NumGoroutine()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	u.files = len(files)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident uint64 // in pages
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		t.Fatal(err)
	}
	u.resident = resident * uint64(os.Getpagesize())
	return u
}

// countEvents counts the kernel's events on the machine, those of the repairs too.
func countEvents(t *testing.T) (count func() int64) {
	t.Helper()
	w, err := rtnl.Watch(nil, watchedGroups...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	var n atomic.Int64
	go func() {
		for nextChange(w) == nil {
			n.Add(1)
		}
	}()
	return n.Load
}

// TestKeepMany damages a lab again and again, one to three times in a row and in any order. Keep repairs all, and needs
// no more memory, files and goroutines at the end than after the first hundred, or half of them.
func TestKeepMany(t *testing.T) {
	labtest.NeedIP(t)
	total := 200
	if testing.Short() {
		total = 40
	}
	if text := os.Getenv(damagesEnv); text != "" {
		var err error
		if total, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	g := startKeeping(t, keptLab)
	g.repaired("start")
	g.tolerant = true // a comparison fails if the lab is damaged meanwhile
	events := countEvents(t)
	var first usage
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for done, failed := 0, 0; done < total; {
		if done >= min(100, total/2) && first.files == 0 {
			first = usageNow(t)
		}
		for range 1 + random.IntN(3) {
			damage := damages[random.IntN(len(damages))]
			if err := do(t, damage); err != nil {
				if failed++; failed > total {
					t.Fatal(err)
				}
				continue // another damage is in the way
			}
			done++
		}
		g.repaired(fmt.Sprintf("damage %d", done))
	}
	last := usageNow(t)
	t.Logf("%d damages, %d events on the machine, %d comparisons, %d repairs with %d steps", total, events(),
		g.comparisons.Load(), g.repairs.Load(), g.steps.Load())
	t.Logf("after the first: %+v; at the end: %+v", first, last)
	const bound = 30 << 20
	if last.heap > first.heap+bound || last.resident > first.resident+bound || last.files > first.files+20 ||
		last.goroutines > first.goroutines+20 {
		t.Error("it grows")
	}
	// One comparison repairs, another one finds that the repair was all. An event that comes late causes one more.
	if c := g.comparisons.Load(); c > 4*int64(total) {
		t.Errorf("%d comparisons", c)
	}
}

// TestKeepIsFast: what was deleted is back soon after the kernel's event. The times are for the reader of the log; what
// fails is the number of comparisons.
func TestKeepIsFast(t *testing.T) {
	labtest.NeedIP(t)
	g := startKeeping(t, keptLab)
	g.repaired("start")
	w, err := rtnl.Watch(nil, rtnl.GroupLink)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const times = 20
	before := g.comparisons.Load()
	var took []time.Duration
	for range times {
		if err := do(t, "link del red-eth0"); err != nil {
			t.Fatal(err)
		}
		waitForLink(t, w, func(l rtnl.Link, deleted bool) bool { return deleted })
		deleted := time.Now()
		waitForLink(t, w, func(l rtnl.Link, deleted bool) bool { return !deleted && l.Up() && l.Master != 0 })
		took = append(took, time.Since(deleted))
		g.repaired("a deleted cable")
	}
	slices.Sort(took)
	t.Logf("a deleted cable is back after %v, median %v, at most %v", took[0], took[times/2], took[times-1])
	if c := g.comparisons.Load() - before; c > 4*times {
		t.Errorf("%d comparisons after %d changes", c, times)
	}
}

// waitForLink waits for an event of red-eth0.
func waitForLink(t *testing.T, w *rtnl.Watcher, is func(l rtnl.Link, deleted bool) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if l, ok := e.Object.(rtnl.Link); ok && l.Name == "red-eth0" && is(l, e.Deleted) {
			return
		}
	}
}

// TestKeepImpairment: Keep sees that netem was deleted from a link.
func TestKeepImpairment(t *testing.T) {
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("no tc on this machine")
	}
	impairedLab(t, "delay: 1ms") // or it skips
	g := startKeeping(t, "name: slow\nhosts: {red: {}, blue: {}}\nlinks:\n"+
		"  - {endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30], impair: {delay: 1ms}}")
	g.repaired("start")
	if out, err := exec.Command("tc", "-n", "red", "qdisc", "del", "dev", "eth0", "root").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	g.repaired("netem was deleted")
}
