package live

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

// killTestEnv is an environment variable. It makes the test binary bring a lab up or take
// it down instead of running tests, and kill itself: "up cheatsheet.yaml 17" before
// request 17, "down web.yaml 1300us" after that time.
const killTestEnv = "VNET_TEST_VICTIM"

// runKillTestChild does what the variable says. It returns only if it was not killed.
func runKillTestChild(text string) int {
	var verb, name, when string
	fmt.Sscan(text, &verb, &name, &when)
	file, err := os.ReadFile("../../examples/" + name)
	if err != nil {
		return fail(err)
	}
	topology, err := lab.Parse(name, file)
	if err != nil {
		return fail(err)
	}
	want, err := lab.Compile(topology)
	if err != nil {
		return fail(err)
	}
	k, err := OpenKernel(context.Background(), topology.Name, nil)
	if err != nil {
		return fail(err)
	}
	k.table.Etc = "/run/etc-netns"
	die := func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	if d, err := time.ParseDuration(when); err == nil {
		time.AfterFunc(d, die)
	} else if n, err := strconv.Atoi(when); err == nil {
		injectFaults(k, func(i int) error {
			if i == n {
				die()
				select {}
			}
			return nil
		})
	}
	start := time.Now()
	if verb == "up" {
		_, err = k.Up(context.Background(), want, nil)
	} else {
		_, err = k.Down(context.Background(), nil)
	}
	if err != nil {
		return fail(err)
	}
	fmt.Println(time.Since(start))
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// runAndKill runs a child that kills itself. It reports whether it died, else how long it ran.
func runAndKill(t *testing.T, verb, name, when string) (died bool, took time.Duration) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), killTestEnv+"="+verb+" "+name+" "+when)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true, 0
	}
	if err == nil {
		took, err = time.ParseDuration(strings.TrimSpace(string(out)))
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", verb, name, err, out)
	}
	return false, took
}

// openSmall opens an example that can be brought up many times. The caller closes it.
func openSmall(t *testing.T, name string) (*Kernel, topo.State) {
	t.Helper()
	lab, want := example(t, name)
	if len(want) > 5000 {
		t.Skip("thousands of requests")
	}
	return openWithoutCleanup(t, lab), want
}

// checkRecovery checks the machine after a kill: Down leaves nothing, also after an Up that
// completed the lab.
func checkRecovery(t *testing.T, name, before string, upFirst bool) {
	t.Helper()
	k, want := openSmall(t, name)
	defer k.Close()
	if upFirst {
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal("up: ", err)
		}
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal("down: ", err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Fatalf("the machine is not as before (-before +after):\n%s", diff)
	}
}

var (
	kills  = flag.Int("kills", 3, "number of kills at random times of each lab, during up and during down")
	faults = flag.Int("faults", 4, "number of requests of each lab at which to fail or kill; 0 means all")
)

// pickRequests picks evenly spaced request numbers; all of them for cheatsheet.yaml, unless
// with -short.
func pickRequests(name string, all int) []int {
	n := *faults
	switch {
	case n == 0 || n > all || name == "cheatsheet.yaml" && !testing.Short():
		n = all
	case testing.Short():
		n = 1
	}
	some := make([]int, n)
	for i := range some {
		some[i] = (2*i + 1) * all / (2 * n)
	}
	return some
}

// countRequests counts the requests of Up and of Down.
func countRequests(t *testing.T, name string) (up, down int) {
	t.Helper()
	k, want := openSmall(t, name)
	defer k.Close() // others wait for its lock
	count := injectFaults(k, func(int) error { return nil })
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	up, count.requests = count.requests, 0
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if down = count.requests; up < 10 || down < 3 {
		t.Errorf("only %d requests of up and %d of down", up, down)
	}
	return up, down
}

// Kill Up and Down at a request.
func TestLaw8_KilledAtAnyRequest(t *testing.T) {
	died := map[string]int{}
	eachSupportedExample(t, func(t *testing.T, name string) {
		before := machineState(t)
		up, down := countRequests(t, name)
		for verb, all := range map[string]int{"up": up, "down": down} {
			for i, n := range pickRequests(name, all) {
				if verb == "down" {
					runAndKill(t, "up", name, "never")
				}
				if dies, _ := runAndKill(t, verb, name, strconv.Itoa(n)); !dies {
					t.Errorf("%s was not killed at request %d of %d", verb, n, all)
				}
				checkRecovery(t, name, before, i%2 == 0)
				died[verb]++
			}
		}
	})
	t.Logf("killed at %d requests of up and %d of down", died["up"], died["down"])
}

// Kill Up and Down of all examples at random times.
func TestLaw8_KilledAtAnyTime(t *testing.T) {
	died := map[string]int{}
	eachSupportedExample(t, func(t *testing.T, name string) {
		times := *kills
		if testing.Short() {
			times = 1
		}
		if name == "thousand.yaml" {
			times /= 10 // it takes as long as all others
		}
		before := machineState(t)
		var up, down time.Duration // duration of each
		r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
		for i := range times {
			if i%5 == 0 {
				_, up = runAndKill(t, "up", name, "never")
				_, down = runAndKill(t, "down", name, "never")
			}
			died["up"] += killAtRandomTime(t, "up", name, up, r)
			checkRecovery(t, name, before, i%2 == 0)
			runAndKill(t, "up", name, "never")
			died["down"] += killAtRandomTime(t, "down", name, down, r)
			checkRecovery(t, name, before, i%2 == 1)
		}
	})
	t.Logf("killed %d times during up and %d times during down", died["up"], died["down"])
}

// killAtRandomTime kills a child at a random time within the duration that it needs. It
// returns 1 if it was killed and 0 if it was too fast.
func killAtRandomTime(t *testing.T, verb, name string, whole time.Duration, r *rand.Rand) int {
	t.Helper()
	if died, _ := runAndKill(t, verb, name, strconv.Itoa(int(r.Int64N(whole.Microseconds())))+"us"); died {
		return 1
	}
	return 0
}

// After a restart of the machine, files may still exist but namespaces do not. These files
// disturb neither the same lab nor another one with the same names, and Down removes them.
func TestRestart(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lab, want := example(t, "cable.yaml")
	k := openKernel(t, lab)
	before := machineState(t)
	for _, was := range []string{lab, "another"} {
		for _, h := range []string{"red", "blue"} {
			write("/run/etc-netns/"+h+"/hosts", mark.FileMark(was)+"10.0.0.1 old\n")
			write("/run/etc-netns/"+h+"/.hosts."+mark.Of(lab), "")
		}
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("files of %s are left (-before +after):\n%s", was, diff)
		}
	}
	write("/run/etc-netns/gone/hosts", mark.FileMark(lab))
	write("/run/etc-netns/mine/hosts", "10.0.0.1 mine\n")
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/run/etc-netns/gone/hosts"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("down leaves the file of a deleted host: ", err)
	}
	if err := os.Remove("/run/etc-netns/mine/hosts"); err != nil {
		t.Error("down touches a foreign file: ", err)
	}
	for _, name := range []string{"mine", "gone", "red", "blue"} {
		if err := os.Remove("/run/etc-netns/" + name); err != nil {
			t.Error("down removes a foreign directory: ", err)
		}
	}
}
