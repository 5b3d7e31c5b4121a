package nsfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestMain runs the tests in a sandbox. Some run themselves again, in what they
// have made of it.
func TestMain(m *testing.M) {
	if os.Getenv("NSFS_PROGRAM") != "" {
		os.Exit(program(os.Args[1:]))
	}
	for _, again := range []string{"NSFS_STRANGER", "NSFS_EXEC", "NSFS_NOSYS"} {
		if os.Getenv(again) != "" {
			os.Exit(m.Run())
		}
	}
	if os.Getenv("NSFS_INNER") != "" {
		os.Exit(nsfs.Sandbox(inner))
	}
	os.Exit(nsfs.Sandbox(m.Run))
}

// program is what is run in namespaces: this binary in place of the programs that
// a minimal machine lacks.
func program(args []string) int {
	switch args[0] {
	case "cat":
		for _, path := range args[1:] {
			b, err := os.ReadFile(path)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			os.Stdout.Write(b)
		}
	case "ls":
		entries, err := os.ReadDir(args[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		for _, e := range entries {
			fmt.Println(e.Name())
		}
	case "where": // a child of the program's
		cmd := exec.Command("/proc/self/exe", "readlink", "/proc/self/ns/net")
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
		}
	case "readlink":
		fmt.Println(os.Readlink(args[1]))
	case "enter": // and what it is then for itself, and for one of its goroutines
		ns, err := nsfs.Open(args[1])
		if err == nil {
			err = nsfs.Enter(ns)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(os.Readlink(threadNS))
		there := make(chan string)
		go func() {
			at, _ := os.Readlink(threadNS)
			there <- at
		}()
		fmt.Println(<-there)
	case "hold":
		io.Copy(io.Discard, os.Stdin)
	case "pid":
		fmt.Println(os.Getpid())
		return 3
	case "seven":
		return 7
	}
	return 0
}

// command is the program with arguments, as [program] knows them.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "NSFS_PROGRAM=1")
	return cmd
}

// fresh takes away all names, and the folder itself, before and after a test.
func fresh(t *testing.T) {
	t.Helper()
	clear := func() {
		entries, err := nsfs.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := nsfs.Remove(e.Name); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
		for unix.Unmount(nsfs.Dir, unix.MNT_DETACH) == nil {
		}
		if err := os.RemoveAll(nsfs.Dir); err != nil {
			t.Fatal(err)
		}
	}
	clear()
	t.Cleanup(clear)
}

// add makes a named namespace and opens it.
func add(t *testing.T, name string) *os.File {
	t.Helper()
	if err := nsfs.Add(name); err != nil {
		t.Fatal(err)
	}
	ns, err := nsfs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// ip runs the real ip(8), or skips the test where there is none.
func ip(t *testing.T, args string) string {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip on this machine to compare with")
	}
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
	return string(out)
}

func identity(t *testing.T, ns *os.File) nsfs.ID {
	t.Helper()
	id, err := nsfs.Identity(ns)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// names are those in the folder, stale ones with an exclamation mark.
func names(t *testing.T) map[string]bool {
	t.Helper()
	entries, err := nsfs.List()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, e := range entries {
		name := e.Name
		if e.Stale {
			name += "!"
		}
		all[name] = true
	}
	return all
}

func TestAddListRemove(t *testing.T) {
	fresh(t)
	if entries, err := nsfs.List(); entries != nil || err != nil {
		t.Errorf("without a folder: %v, %v", entries, err)
	}
	if err := nsfs.Add("red"); err != nil {
		t.Fatal(err)
	}
	entries, err := nsfs.List()
	if err != nil || len(entries) != 1 || entries[0].Name != "red" || entries[0].Stale {
		t.Fatalf("List() = %+v, %v", entries, err)
	}
	if err := nsfs.Remove("red"); err != nil {
		t.Fatal(err)
	}
	if entries, err := nsfs.List(); entries == nil || len(entries) != 0 || err != nil {
		t.Errorf("an empty folder: %v, %v", entries, err)
	}
}

// TestOneNamespaceManyWays: however it is opened, it is the same one.
func TestOneNamespaceManyWays(t *testing.T) {
	fresh(t)
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := nsfs.Attach(ns, "red"); err != nil {
		t.Fatal(err)
	}
	if err := nsfs.Attach(ns, "rouge"); err != nil {
		t.Fatal(err)
	}
	want := identity(t, ns)
	for _, name := range []string{"red", "rouge"} {
		byName, err := nsfs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer byName.Close()
		byPath, err := nsfs.OpenPath(filepath.Join(nsfs.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer byPath.Close()
		if identity(t, byName) != want || identity(t, byPath) != want {
			t.Errorf("%s is another namespace", name)
		}
	}
	home, err := nsfs.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	byPid, err := nsfs.OpenPid(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer byPid.Close()
	if identity(t, home) != identity(t, byPid) || identity(t, home) == want {
		t.Error("the test's own namespace is taken for another")
	}
	if err := nsfs.Do(ns, func() error {
		inside, err := nsfs.Current()
		if err != nil {
			return err
		}
		defer inside.Close()
		if identity(t, inside) != want {
			t.Error("Do is not inside")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestNameIsNotTheNamespace: a handle outlives the name, and a name the handle.
func TestNameIsNotTheNamespace(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	if err := nsfs.Remove("red"); err != nil {
		t.Fatal(err)
	}
	if err := nsfs.Do(ns, func() error { return nil }); err != nil {
		t.Errorf("the handle died with the name: %v", err)
	}
	if err := nsfs.Attach(ns, "red"); err != nil {
		t.Errorf("cannot be named again: %v", err)
	}
	again, err := nsfs.Open("red")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if identity(t, again) != identity(t, ns) {
		t.Error("named again it is another")
	}
}

// TestInterop: ip-netns(8) and this package see, use and remove each other's.
func TestInterop(t *testing.T) {
	fresh(t)
	ip(t, "netns add theirs")
	ns, err := nsfs.Open("theirs")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	add(t, "ours")
	if got := names(t); !got["ours"] || !got["theirs"] || len(got) != 2 {
		t.Errorf("we list %v", got)
	}
	if got := strings.Fields(ip(t, "netns list")); len(got) != 2 {
		t.Errorf("ip lists %v", got)
	}
	for name, by := range map[string]func(){"ours": func() { ip(t, "netns del ours") }, "theirs": func() {
		if err := nsfs.Remove("theirs"); err != nil {
			t.Error(err)
		}
	}} {
		inside := strings.TrimSpace(ip(t, "netns exec "+name+" readlink /proc/self/ns/net"))
		var ours strings.Builder
		cmd := command("readlink", "/proc/self/ns/net")
		cmd.Stdout = &ours
		if err := nsfs.Run(name, cmd); err != nil {
			t.Fatal(err)
		}
		if ours.String() != inside+" <nil>\n" {
			t.Errorf("%s is %s to ip and %s to us", name, inside, ours.String())
		}
		by()
	}
	if got := names(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	ip(t, "netns add again") // the folder is still as ip wants it
	if got := mounts(t); len(got) != 2 {
		t.Errorf("mounts under %s:\n%s", nsfs.Dir, strings.Join(got, "\n"))
	}
}

// mounts are the mount points at and under the folder.
func mounts(t *testing.T) []string {
	t.Helper()
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, line := range strings.Split(string(info), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && (fields[4] == nsfs.Dir || strings.HasPrefix(fields[4], nsfs.Dir+"/")) {
			found = append(found, line)
		}
	}
	return found
}

func TestWatch(t *testing.T) {
	fresh(t)
	w, err := nsfs.Watch()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"red", "blue"} {
		if err := nsfs.Add(name); err != nil {
			t.Fatal(err)
		}
		if err := nsfs.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []nsfs.Event{{Name: "red"}, {Name: "red", Gone: true}, {Name: "blue"}, {Name: "blue", Gone: true}} {
		if got, err := w.Next(); got != want || err != nil {
			t.Fatalf("event %+v, %v; want %+v", got, err, want)
		}
	}
	done := make(chan error)
	go func() {
		_, err := w.Next()
		done <- err
	}()
	w.Close()
	if err := <-done; err == nil {
		t.Error("closed, and still an event")
	}
}

// TestWatchLoses: who does not read for long is told so, and then of what follows.
func TestWatchLoses(t *testing.T) {
	fresh(t)
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(limit)))
	if err != nil || most > 1<<20 {
		t.Skipf("a queue of %s events is too long to fill", limit)
	}
	w, err := nsfs.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	touch := func(name string) {
		t.Helper()
		path := filepath.Join(nsfs.Dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Remove(path)); err != nil {
			t.Fatal(err)
		}
	}
	for range most/2 + 1 {
		touch("red")
	}
	defer time.AfterFunc(time.Minute, func() { w.Close() }).Stop() // or it waits for ever
	var e nsfs.Event
	for range most + 2 {
		if e, err = w.Next(); err != nil || e.Lost {
			break
		}
	}
	if want := (nsfs.Event{Lost: true}); e != want || err != nil {
		t.Fatalf("event %+v, %v; want %+v", e, err, want)
	}
	touch("blue")
	if e, err := w.Next(); e.Name != "blue" || err != nil {
		t.Errorf("event %+v, %v after the loss", e, err)
	}
}

// What is left of a name whose maker died in between tells whose it was.
func TestNote(t *testing.T) {
	fresh(t)
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := nsfs.AttachNoted(ns, "red", "lab one"); err != nil {
		t.Fatal(err)
	}
	if note := nsfs.Note("red"); note != "" {
		t.Errorf("the note of a living name: %q", note)
	}
	add(t, "blue") // which has none
	if notes := nsfs.Notes(); len(notes) != 1 || notes["red"] != "lab one" {
		t.Errorf("there are the notes %q", notes)
	}
	if err := nsfs.AttachNoted(ns, "red", "lab two"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := unix.Unmount(filepath.Join(nsfs.Dir, "red"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if note := nsfs.Note("red"); note != "lab one" {
		t.Errorf("the note of a stale name: %q", note)
	}
	if note := nsfs.Notes()["red"]; note != "lab one" {
		t.Errorf("the note of a stale name among others: %q", note)
	}
	if err := nsfs.Remove("red"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"red", "../red", ""} {
		if note := nsfs.Note(name); note != "" {
			t.Errorf("Note(%q) = %q", name, note)
		}
	}
}
