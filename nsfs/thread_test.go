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

// TestGoroutinesStayOutside: while threads enter namespaces, none of 2000 other goroutines
// runs in one.
func TestGoroutinesStayOutside(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	outside := readlink(t, threadNS)
	var threads sync.WaitGroup
	for i := range 200 {
		threads.Go(func() {
			switch i % 3 {
			case 0: // returns an error from inside
				if err := nsfs.Do(ns, func() error { return errors.New("no") }); err == nil {
					t.Error("the error is lost")
				}
			case 1: // creates a namespace
				ns, err := nsfs.New()
				if err != nil {
					t.Error(err)
					return
				}
				ns.Close()
			case 2: // does not return
				if err := nsfs.Do(ns, func() error { runtime.Goexit(); return nil }); err == nil {
					t.Error("no error from a function that did not return")
				}
			}
		})
	}
	inside := make(chan string, 2000)
	start := make(chan bool)
	var others sync.WaitGroup
	for range 2000 {
		others.Go(func() {
			<-start
			runtime.LockOSThread() // so that they use many threads
			defer runtime.UnlockOSThread()
			if ns, err := os.Readlink(threadNS); err == nil && ns != outside {
				inside <- ns
			}
		})
	}
	close(start)
	others.Wait()
	threads.Wait()
	if n := len(inside); n > 0 {
		t.Errorf("%d of 2000 goroutines ran in another namespace", n)
	}
	noThreadInside(t, outside)
}

// noThreadInside waits until all threads that entered a namespace have ended. They end a
// moment after the call.
func noThreadInside(t *testing.T, outside string) {
	t.Helper()
	var inside int
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		inside = 0
		for _, task := range tasks {
			if ns, err := os.Readlink(task); err == nil && ns != outside {
				inside++
			}
		}
		if inside == 0 {
			return
		}
	}
	t.Errorf("%d threads stay in another namespace", inside)
}

// TestFirstThreadStaysOutside: the first thread cannot end, so it must never enter a
// namespace: /proc/self and /proc/net show that thread.
func TestFirstThreadStaysOutside(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	outside := readlink(t, "/proc/self/ns/net")
	for range 300 {
		if err := nsfs.Do(ns, func() error {
			if readlink(t, "/proc/self/ns/net") != outside {
				t.Error("the first thread is in the namespace")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if readlink(t, "/proc/self/ns/net") != outside {
		t.Error("the first thread stayed in the namespace")
	}
}

// TestConcurrentNew: namespaces that are created at the same time all differ.
func TestConcurrentNew(t *testing.T) {
	created := make(chan *os.File, 100)
	var all sync.WaitGroup
	for range cap(created) {
		all.Go(func() {
			ns, err := nsfs.New()
			if err != nil {
				t.Error(err)
				return
			}
			created <- ns
		})
	}
	all.Wait()
	close(created)
	seen := map[nsfs.ID]bool{}
	for ns := range created {
		seen[identity(t, ns)] = true
		ns.Close()
	}
	if len(seen) != cap(created) {
		t.Errorf("%d namespaces of %d", len(seen), cap(created))
	}
}

// TestConcurrentFirstAdd: 64 first adds at once, half of them by ip(8), create one shared
// mount and one mount per name. No name is mounted twice.
func TestConcurrentFirstAdd(t *testing.T) {
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

// TestNoFileStaysOpen: after 300 names, as many files are open as before.
func TestNoFileStaysOpen(t *testing.T) {
	fresh(t)
	add(t, "first") // files that stay open by design
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
			t.Fatal("red was added twice")
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
		t.Errorf("%d files are open, %d before", after, before)
	}
}

// TestEnter: a program enters a namespace permanently; its other goroutines stay outside.
// If the file is not a namespace, the program stays where it is.
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
	outside := readlink(t, threadNS)
	if err := nsfs.Enter(file); !errors.Is(err, unix.EINVAL) || readlink(t, threadNS) != outside {
		t.Errorf("entered a file: %v", err)
	}
}
