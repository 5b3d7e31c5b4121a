//go:build linux

package topo

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
)

// victim, in the environment, makes the test binary bring a lab up or take it
// down instead of running tests, and die on the way: "up cheatsheet.yaml 17"
// before the request of that number, "down web.yaml 1300us" after that time.
const victim = "VNET_TEST_VICTIM"

// beVictim does what the environment says. It returns only if it outlives that.
func beVictim(words string) int {
	var verb, name, when string
	fmt.Sscan(words, &verb, &name, &when)
	text, err := os.ReadFile("../examples/" + name)
	if err != nil {
		return fail(err)
	}
	topology, err := Parse(name, text)
	if err != nil {
		return fail(err)
	}
	want, err := Compile(topology)
	if err != nil {
		return fail(err)
	}
	k, err := OpenKernel(context.Background(), topology.Name, nil)
	if err != nil {
		return fail(err)
	}
	k.etc = "/run/etc-netns"
	die := func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	if d, err := time.ParseDuration(when); err == nil {
		time.AfterFunc(d, die)
	} else if n, err := strconv.Atoi(when); err == nil {
		k.fault = func(i int) error {
			if i == n {
				die()
				select {}
			}
			return nil
		}
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

// kill runs a victim. It tells whether that died, and else how long it took.
func kill(t *testing.T, verb, name, when string) (died bool, took time.Duration) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victim+"="+verb+" "+name+" "+when)
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

// openSmall works on an example that can be brought up again and again; its caller closes
// it.
func openSmall(t *testing.T, name string) (*Kernel, State) {
	t.Helper()
	lab, want := example(t, name)
	if len(want) > 5000 {
		t.Skip("thousands of requests")
	}
	return openAlone(t, lab), want
}

// survive checks what must hold after a death: down leaves nothing; or up
// completes, whatever is there.
func survive(t *testing.T, name, before string, upFirst bool) {
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
	if diff := cmp.Diff(before, machine(t)); diff != "" {
		t.Fatalf("the machine is not as before (-before +after):\n%s", diff)
	}
}

var (
	kills  = flag.Int("kills", 3, "kill each lab so often at random, coming up and going down")
	faults = flag.Int("faults", 4, "refuse, and kill at, so many requests of each lab; 0 is all")
)

// someOf are numbers of requests, evenly spread: all of them for the lab of the cheat
// sheet, unless -short says otherwise.
func someOf(name string, all int) []int {
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

// requests is how many requests it takes to bring a lab up, and to take it down.
func requests(t *testing.T, name string) (up, down int) {
	t.Helper()
	k, want := openSmall(t, name)
	defer k.Close()                          // others wait for it
	k.fault = func(int) error { return nil } // counts
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	up, k.requests = k.requests, 0
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if down = k.requests; up < 10 || down < 3 {
		t.Errorf("only %d requests of up and %d of down", up, down)
	}
	return up, down
}

// At a request, of up and of down.
func TestLaw8_KilledAtAnyRequest(t *testing.T) {
	died := map[string]int{}
	eachPossible(t, func(t *testing.T, name string) {
		before := machine(t)
		up, down := requests(t, name)
		for verb, all := range map[string]int{"up": up, "down": down} {
			for i, n := range someOf(name, all) {
				if verb == "down" {
					kill(t, "up", name, "never")
				}
				if dies, _ := kill(t, verb, name, strconv.Itoa(n)); !dies {
					t.Errorf("%s outlives its request %d of %d", verb, n, all)
				}
				survive(t, name, before, i%2 == 0)
				died[verb]++
			}
		}
	})
	t.Logf("killed at %d requests of up and %d of down", died["up"], died["down"])
}

// At random moments, of all examples.
func TestLaw8_KilledAtAnyMoment(t *testing.T) {
	died := map[string]int{}
	eachPossible(t, func(t *testing.T, name string) {
		times := *kills
		if testing.Short() {
			times = 1
		}
		if name == "thousand.yaml" {
			times /= 10 // it takes as long as all others
		}
		before := machine(t)
		var up, down time.Duration // as long as they take
		r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
		for i := range times {
			if i%5 == 0 {
				_, up = kill(t, "up", name, "never")
				_, down = kill(t, "down", name, "never")
			}
			died["up"] += killWithin(t, "up", name, up, r)
			survive(t, name, before, i%2 == 0)
			kill(t, "up", name, "never")
			died["down"] += killWithin(t, "down", name, down, r)
			survive(t, name, before, i%2 == 1)
		}
	})
	t.Logf("killed %d times coming up and %d times going down", died["up"], died["down"])
}

// killWithin kills a victim at a random moment of the time that it needs. It returns
// how many died: one that is too fast does not.
func killWithin(t *testing.T, verb, name string, whole time.Duration, r *rand.Rand) int {
	t.Helper()
	if died, _ := kill(t, verb, name, strconv.Itoa(int(r.Int64N(whole.Microseconds())))+"us"); died {
		return 1
	}
	return 0
}

// TestRestart: files outlive the machine's restart, namespaces do not. Neither the
// same lab nor another one that has the names is held up by them, and down takes
// them away.
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
	before := machine(t)
	for _, was := range []string{lab, "another"} {
		for _, h := range []string{"red", "blue"} {
			write("/run/etc-netns/"+h+"/hosts", fileMark(was)+"10.0.0.1 old\n")
			write("/run/etc-netns/"+h+"/.hosts."+Mark(lab), "")
		}
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, machine(t)); diff != "" {
			t.Errorf("what %s had left is still there (-before +after):\n%s", was, diff)
		}
	}
	write("/run/etc-netns/gone/hosts", fileMark(lab))
	write("/run/etc-netns/mine/hosts", "10.0.0.1 mine\n")
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/run/etc-netns/gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("down leaves the file of a host that is gone: ", err)
	}
	if err := os.Remove("/run/etc-netns/mine/hosts"); err != nil {
		t.Error("down touches a file that is not a lab's: ", err)
	}
	os.Remove("/run/etc-netns/mine")
}
