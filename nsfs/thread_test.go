package nsfs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

const threadNS = "/proc/thread-self/ns/net"

func readlink(t *testing.T, path string) string {
	t.Helper()
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestNoGoroutineIsAbroad: while threads go in and out of namespaces, none of
// 2000 goroutines ever finds itself in one.
func TestNoGoroutineIsAbroad(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	home := readlink(t, threadNS)
	var visits sync.WaitGroup
	for i := range 200 {
		visits.Go(func() {
			switch i % 3 {
			case 0: // comes back with an error, from inside
				if err := nsfs.Do(ns, func() error { return errors.New("no") }); err == nil {
					t.Error("the error is lost")
				}
			case 1: // makes one
				ns, err := nsfs.New()
				if err != nil {
					t.Error(err)
					return
				}
				ns.Close()
			case 2: // does not come back at all
				if err := nsfs.Do(ns, func() error { runtime.Goexit(); return nil }); err == nil {
					t.Error("a function that never returned has no error")
				}
			}
		})
	}
	abroad := make(chan string, 2000)
	start := make(chan bool)
	var others sync.WaitGroup
	for range 2000 {
		others.Go(func() {
			<-start
			runtime.LockOSThread() // on as many threads as can be
			defer runtime.UnlockOSThread()
			if ns, err := os.Readlink(threadNS); err == nil && ns != home {
				abroad <- ns
			}
		})
	}
	close(start)
	others.Wait()
	visits.Wait()
	if n := len(abroad); n > 0 {
		t.Errorf("%d of 2000 goroutines ran in a foreign namespace", n)
	}
	noThreadAbroad(t, home)
}

// noThreadAbroad waits until the threads that went abroad are gone. They end a
// moment after the call that needed them.
func noThreadAbroad(t *testing.T, home string) {
	t.Helper()
	var abroad int
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		abroad = 0
		for _, task := range tasks {
			if ns, err := os.Readlink(task); err == nil && ns != home {
				abroad++
			}
		}
		if abroad == 0 {
			return
		}
	}
	t.Errorf("%d threads stay in a foreign namespace", abroad)
}

// TestFirstThreadStaysHome: the first thread cannot be thrown away, so it must
// never go abroad; /proc/self and /proc/net are its own.
func TestFirstThreadStaysHome(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	home := readlink(t, "/proc/self/ns/net")
	for range 300 {
		if err := nsfs.Do(ns, func() error {
			if readlink(t, "/proc/self/ns/net") != home {
				t.Error("the first thread is in the namespace")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if readlink(t, "/proc/self/ns/net") != home {
		t.Error("the first thread stayed in the namespace")
	}
}

// TestNewIsAlwaysAnother: namespaces made at the same time are not mixed up.
func TestNewIsAlwaysAnother(t *testing.T) {
	made := make(chan *os.File, 100)
	var all sync.WaitGroup
	for range cap(made) {
		all.Go(func() {
			ns, err := nsfs.New()
			if err != nil {
				t.Error(err)
				return
			}
			made <- ns
		})
	}
	all.Wait()
	close(made)
	seen := map[nsfs.ID]bool{}
	for ns := range made {
		seen[identity(t, ns)] = true
		ns.Close()
	}
	if len(seen) != cap(made) {
		t.Errorf("%d namespaces of %d", len(seen), cap(made))
	}
}

// TestFirstAddsTogether: 64 first adds at once, half of them by ip(8), make one
// shared mount and one mount a name, not twice as many with each.
func TestFirstAddsTogether(t *testing.T) {
	fresh(t)
	_, err := exec.LookPath("ip")
	withIP := err == nil
	var all sync.WaitGroup
	for i := range 64 {
		name := string(rune('a'+i%26)) + string(rune('a'+i/26))
		all.Go(func() {
			if withIP && i%2 == 0 {
				if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
					t.Errorf("ip: %v: %s", err, out)
				}
			} else if err := nsfs.Add(name); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(mounts(t)); n != 65 {
		t.Errorf("%d mounts, want one and 64", n)
	}
	if n := len(names(t)); n != 64 {
		t.Errorf("%d names, want 64", n)
	}
}

// TestNothingIsLeftOpen: a thousand names later as many files are open as before.
func TestNothingIsLeftOpen(t *testing.T) {
	fresh(t)
	add(t, "first") // what is opened once for good
	count := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	before := count()
	for range 300 {
		if err := nsfs.Add("red"); err != nil {
			t.Fatal(err)
		}
		if err := nsfs.Add("red"); err == nil {
			t.Fatal("red twice")
		}
		ns, err := nsfs.Open("red")
		if err != nil {
			t.Fatal(err)
		}
		if err := nsfs.Do(ns, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		ns.Close()
		if _, err := nsfs.List(); err != nil {
			t.Fatal(err)
		}
		if err := nsfs.Remove("red"); err != nil {
			t.Fatal(err)
		}
	}
	if after := count(); after != before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

// TestEnter: a program can move for good, and its other goroutines do not come along. It
// stays where it is if what it names is no namespace.
func TestEnter(t *testing.T) {
	fresh(t)
	add(t, "red")
	red, err := nsfs.Open("red")
	if err != nil {
		t.Fatal(err)
	}
	defer red.Close()
	var inside string
	if err := nsfs.Do(red, func() error { inside = readlink(t, threadNS); return nil }); err != nil {
		t.Fatal(err)
	}
	out, err := command("enter", "red").CombinedOutput()
	if want := inside + " <nil>\n" + readlink(t, threadNS) + "\n"; err != nil || string(out) != want {
		t.Errorf("%v: %swant %s", err, out, want)
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	home := readlink(t, threadNS)
	if err := nsfs.Enter(file); !errors.Is(err, unix.EINVAL) || readlink(t, threadNS) != home {
		t.Errorf("entered a file: %v", err)
	}
}
