package nsfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestMain runs the tests in a sandbox. Some tests run themselves again inside it.
func TestMain(m *testing.M) {
	if os.Getenv("NSFS_PROGRAM") != "" {
		os.Exit(program(os.Args[1:]))
	}
	for _, again := range []string{"NSFS_UNPRIVILEGED", "NSFS_EXEC", "NSFS_NOSYS", "NSFS_PRIVATE"} {
		if os.Getenv(again) != "" {
			os.Exit(m.Run())
		}
	}
	if os.Getenv("NSFS_INNER") != "" {
		os.Exit(nsfs.Sandbox(inner))
	}
	os.Exit(nsfs.Sandbox(m.Run))
}

// program is the program that tests run in namespaces. It is part of this binary,
// because a minimal machine has no other programs.
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
	case "where": // prints the namespace of a child
		cmd := exec.Command("/proc/self/exe", "readlink", "/proc/self/ns/net")
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
		}
	case "readlink":
		fmt.Println(os.Readlink(args[1]))
	case "enter": // prints the namespace of this goroutine and of another one
		ns, err := nsfs.Open(args[1])
		if err == nil {
			err = nsfs.Enter(ns)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(os.Readlink(threadNS))
		other := make(chan string)
		go func() {
			ns, _ := os.Readlink(threadNS)
			other <- ns
		}()
		fmt.Println(<-other)
	case "hold-cat": // prints the file when its input ends
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		text, _ := os.ReadFile(args[1])
		fmt.Print(string(text))
	case "hold":
		io.Copy(io.Discard, os.Stdin)
	case "pid":
		fmt.Println(os.Getpid())
		return 3
	case "wait": // until it is killed
		unix.Pause()
	case "seven":
		return 7
	}
	return 0
}

// command returns a command that runs [program] with arguments.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "NSFS_PROGRAM=1")
	return cmd
}

// fresh removes all names and the directory, before and after a test.
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

// add creates a named namespace and opens it.
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

// ip runs ip(8). It skips the test if there is none.
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

// names returns the names in the directory. Stale ones end with an exclamation mark.
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
		t.Errorf("without a directory: %v, %v", entries, err)
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
		t.Errorf("an empty directory: %v, %v", entries, err)
	}
}

// TestOpenFunctions: each way to open a namespace gives the same namespace.
func TestOpenFunctions(t *testing.T) {
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
	current, err := nsfs.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer current.Close()
	byPid, err := nsfs.OpenPid(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer byPid.Close()
	if identity(t, current) != identity(t, byPid) || identity(t, current) == want {
		t.Error("the namespace of the test is another one")
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

// TestFileWithoutName: an open file stays valid when the name is removed.
func TestFileWithoutName(t *testing.T) {
	fresh(t)
	ns := add(t, "red")
	if err := nsfs.Remove("red"); err != nil {
		t.Fatal(err)
	}
	if err := nsfs.Do(ns, func() error { return nil }); err != nil {
		t.Errorf("the open file is not valid after its name is removed: %v", err)
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
		t.Error("after it is named again, it is another namespace")
	}
}

// TestInterop: ip-netns(8) and this package list, use and remove the names of each other.
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
	for name, remove := range map[string]func(){"ours": func() { ip(t, "netns del ours") }, "theirs": func() {
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
		remove()
	}
	if got := names(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	ip(t, "netns add again") // ip can still use the directory
	if got := mounts(t); len(got) != 2 {
		t.Errorf("mounts under %s:\n%s", nsfs.Dir, strings.Join(got, "\n"))
	}
}

// mounts returns the mount points at and under the directory. It leaves out those of the
// machine, which are hidden under the sandbox's /run.
func mounts(t *testing.T) []string {
	t.Helper()
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	inside := map[string]bool{} // by mount ID
	for _, line := range strings.Split(string(info), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if fields[4] == filepath.Dir(nsfs.Dir) { // the last one is the sandbox's
			clear(inside)
			found = nil
			inside[fields[0]] = true
		}
		if inside[fields[1]] && (fields[4] == nsfs.Dir || strings.HasPrefix(fields[4], nsfs.Dir+"/")) {
			inside[fields[0]] = true
			found = append(found, line)
		}
	}
	return found
}

// TestMark: the mark of a name can be read with a namespace and after it is stale.
func TestMark(t *testing.T) {
	fresh(t)
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := nsfs.AttachMarked(ns, "red", "lab one"); err != nil {
		t.Fatal(err)
	}
	if mark := nsfs.StaleMark("red"); mark != "" {
		t.Errorf("StaleMark of a name that is not stale: %q", mark)
	}
	add(t, "blue") // without a mark
	if marks := nsfs.Marks(); len(marks) != 1 || marks["red"] != "lab one" {
		t.Errorf("Marks() = %q", marks)
	}
	if err := nsfs.AttachMarked(ns, "red", "lab two"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that exists: %v", err)
	}
	if err := unix.Unmount(filepath.Join(nsfs.Dir, "red"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if mark := nsfs.StaleMark("red"); mark != "lab one" {
		t.Errorf("StaleMark of a stale name: %q", mark)
	}
	if mark := nsfs.Marks()["red"]; mark != "lab one" {
		t.Errorf("Marks()[%q] of a stale name: %q", "red", mark)
	}
	if err := nsfs.Remove("red"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"red", "../red", ""} {
		if mark := nsfs.StaleMark(name); mark != "" {
			t.Errorf("StaleMark(%q) = %q", name, mark)
		}
	}
}
