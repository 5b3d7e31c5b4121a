//go:build linux

package trust

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

// TestAtOnce runs 32 processes at the same time. Each adds and deletes its own rules, or brings its own lab up and
// down.
// No change is lost, and nothing is left.
func TestAtOnce(t *testing.T) {
	needTools(t, "ip", "nft")
	const processes = 32
	rounds := 1
	if all() {
		rounds = 20
	}
	r := &row{t: t, what: fmt.Sprintf("commands of %d processes at once: nat add and del, up and down", processes),
		wrong: "updates that were lost, or refused"}
	before := state(t)
	var mu sync.Mutex
	run := func(args ...string) {
		out, err := exec.Command(os.Getenv(binaryEnv), args...).CombinedOutput()
		mu.Lock()
		defer mu.Unlock()
		if r.times++; err != nil {
			r.fail("vnet %q: %v: %s", args, err, out)
		}
	}
	// once runs a command for each process, at the same time.
	once := func(command func(i int) []string) {
		var wg sync.WaitGroup
		for i := range processes {
			wg.Go(func() { run(command(i)...) })
		}
		wg.Wait()
	}
	var files [processes]string
	for i := range files {
		files[i] = writeFile(t, "lab.yaml", fmt.Sprintf("name: lab%d\n"+
			"networks: {n%d: {subnets: [10.1.%d.0/24], nat: true}}\n"+
			"hosts: {h%d: {networks: [n%d], ports: [\"%d:80\"]}}\n", i, i, i, i, i, 7000+i))
	}
	for range rounds {
		for _, verb := range []string{"add", "del"} {
			once(func(i int) []string {
				if i%2 == 0 { // the others are labs
					return []string{"nat", verb, "dnat", "-p", "tcp", "--dport", fmt.Sprint(8000 + i), "--to-destination", "10.0.0.2"}
				}
				return []string{map[string]string{"add": "up", "del": "down"}[verb], files[i]}
			})
			rules, labs := mustVnet(t, "nat", "show"), mustVnet(t, "ls")
			for i := range processes {
				has := strings.Contains(rules, fmt.Sprintf("--dport %d ", 8000+i))
				if i%2 == 1 {
					has = slices.Contains(strings.Fields(labs), fmt.Sprintf("lab%d", i))
				}
				if has != (verb == "add") {
					r.fail("the %s of process %d is lost", verb, i)
				}
			}
		}
	}
	if left := diff(before, state(t)); left != "" {
		r.fail("left:\n%s", left)
	}
	r.write()
}

// TestCycles brings a lab up and down again and again in one process, and compares what the process holds.
func TestCycles(t *testing.T) {
	needTools(t, "ip", "nft")
	cycles := 20
	if all() {
		cycles = 10000
	}
	r := &row{t: t, what: "up and down in one process",
		wrong: "descriptors, goroutines, mounts or MB of memory more at the end"}
	topology, err := lab.Parse("cycles.yaml", []byte(fmt.Sprintf(faultsLab, "")))
	if err != nil {
		t.Fatal(err)
	}
	want, err := lab.Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	cycle := func() {
		k, err := live.OpenKernel(context.Background(), topology.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // until pools are full
		cycle()
	}
	before := holds(t)
	for range cycles {
		cycle()
		r.times++
	}
	const slack = 8 // threads and their descriptors come and go
	for what, n := range holds(t) {
		if n > before[what]+slack {
			r.fail("%d %s, before %d", n, what, before[what])
		}
	}
	r.write()
}

// holds counts what the process and its namespace hold.
func holds(t *testing.T) map[string]int {
	t.Helper()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	lines := func(script string) int { return strings.Count(shell(t, script), "\n") }
	return map[string]int{
		"descriptors": lines(fmt.Sprintf("ls /proc/%d/fd", os.Getpid())), "goroutines": runtime.NumGoroutine(),
		"mounts": lines("cat /proc/self/mountinfo"), "MB of memory": int(m.HeapAlloc >> 20),
		"links": lines("ip -o link"), "tables": lines("nft list tables"),
	}
}
