package live

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// The kernel deletes a route with its link but not vnet's record of it. Up and Down remove
// such records.
func TestStaleRecordsAreRemoved(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := labtest.Compiled(t, `
name: wall
networks: {v-net-0: {subnets: [192.168.15.0/24]}}
hosts:
  red: {networks: [v-net-0], router: true}
  machine: {routes: [10.9.0.0/16 via 192.168.15.2], sysctls: {net.ipv4.conf.v-net-0.rp_filter: "2"}}
`)
	before := machineState(t)
	k := openKernel(t, lab)
	for _, next := range []string{"up again", "down"} {
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		labtest.IP(t, "link del v-net-0")
		if next == "down" {
			break
		}
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
	if labs, err := Labs(); err != nil || slices.Contains(labs, lab) {
		t.Errorf("left: %v, %v", labs, err)
	}
}

// Down gives an uplink back, also if it or its former bridge changed while the lab was up.
func TestUplinkIsGivenBack(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := labtest.Compiled(t, "name: wall\n"+
		"networks: {lan: {subnets: [192.168.15.0/24], uplink: up0}}\nhosts: {red: {networks: [lan]}}\n")
	t.Cleanup(func() { labtest.IP(t, "link del up0") })
	labtest.IP(t, "link add up0 type veth peer name up1")
	for name, meanwhile := range map[string]string{
		"no change": "link show", "its bridge is deleted": "link del br0",
		"its master is removed": "link set up0 nomaster", "the lab's bridge is deleted": "link del lan",
	} {
		t.Run(name, func(t *testing.T) {
			labtest.IP(t, "link add br0 type bridge")
			labtest.IP(t, "link set up0 master br0")
			k := openKernel(t, lab)
			for range 2 { // the second up repairs it
				if _, err := k.Up(t.Context(), want, nil); err != nil {
					t.Fatal(err)
				}
				labtest.IP(t, meanwhile)
				if meanwhile == "link del br0" {
					break
				}
			}
			if _, err := k.Down(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			link := labtest.IP(t, "link show up0")
			if strings.Contains(link, "altname") || strings.Contains(link, "master") != (meanwhile == "link show") {
				t.Error(link)
			}
			if meanwhile != "link del br0" {
				labtest.IP(t, "link del br0")
			}
			if labs, err := Labs(); err != nil || slices.Contains(labs, lab) {
				t.Errorf("left: %v, %v", labs, err)
			}
		})
	}
}

// Root in a namespace can write any mark there, and a lab's name becomes part of a path.
func TestInvalidLabNames(t *testing.T) {
	labtest.IP(t, "netns add evil")
	t.Cleanup(func() { labtest.IP(t, "netns del evil") })
	labtest.IP(t, "-n evil link set lo alias vnet:../../tmp/evil")
	if labs, err := Labs(); err != nil || len(labs) != 0 {
		t.Errorf("Labs is %q, %v", labs, err)
	}
	for _, name := range []string{"", "..", "../evil", "a/b", "a\x1b[31m", "-x"} {
		if k, err := OpenKernel(t.Context(), name, nil); err == nil {
			k.Close()
			t.Errorf("OpenKernel accepts the name %q", name)
		}
	}
}

// A mark without a lab's name does not hide other labs.
func TestMarkWithoutLab(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := labtest.Compiled(t, "name: wall\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	labtest.IP(t, "link add odd type bridge")
	defer labtest.IP(t, "link del odd")
	labtest.IP(t, "link set odd alias vnet:")
	if labs, err := Labs(); err != nil || !slices.Equal(labs, []string{lab}) {
		t.Errorf("Labs is %q, %v", labs, err)
	}
}

// If one of several requests cannot be encoded, none is sent.
func TestNothingIsSentPartly(t *testing.T) {
	k := openKernel(t, "wall")
	lo := rtnl.LinkID{Name: "lo"}
	failed := k.calls.SendTo(k.table.Machine(), []rtnl.Request{
		rtnl.AddAltNames(lo, "vnet:wall:one"), rtnl.AddAltNames(lo, strings.Repeat("x", 200)),
	})
	if len(failed) != 2 {
		t.Errorf("want 2 errors, got %v", failed)
	}
}

// A full disk leaves no part of a file.
func TestFileIsWrittenCompletelyOrNot(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: wall\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	if err := os.MkdirAll(k.table.Etc, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", k.table.Etc, "tmpfs", 0, "size=8k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(k.table.Etc, unix.MNT_DETACH)
	red := want[topo.Key{Kind: topo.OfNamespace, NS: "red", Name: ""}]
	step := topo.Step{Want: topo.File{NS: "red", Name: "hosts", Content: strings.Repeat("10.0.0.1 red\n", 1000)}}
	if err := k.Do(t.Context(), []topo.Step{{Want: red}}); err != nil {
		t.Fatal(err)
	}
	if err := k.Do(t.Context(), []topo.Step{step}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("want ENOSPC, got %v", err)
	}
	if left, err := os.ReadDir(k.table.Etc); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	short := topo.File{NS: "red", Name: "hosts", Content: "10.0.0.1 red\n"}
	if err := k.Do(t.Context(), []topo.Step{{Want: short}}); err != nil {
		t.Fatal(err)
	}
	if err := k.Do(t.Context(), []topo.Step{{Have: short, Want: step.Want}}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("want ENOSPC when overwriting, got %v", err)
	}
	have, err := os.ReadFile(filepath.Join(k.table.Etc, "red", "hosts"))
	if err != nil || string(have) != mark.FileMark(lab)+short.Content {
		t.Errorf("the old file now has %d bytes, %v", len(have), err)
	}
}

// vnet does not follow a symbolic link in the place of the lock.
func TestLockIsNotFollowed(t *testing.T) {
	if err := os.MkdirAll("/run/vnet", 0o755); err != nil {
		t.Fatal(err)
	}
	lock, target := "/run/vnet/followed.lock", filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, lock); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(lock)
	if k, err := OpenKernel(t.Context(), "followed", nil); err == nil {
		k.Close()
		t.Error("OpenKernel locked a foreign file")
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the target was created: %v", err)
	}
}

// A running program of a host sees the names of new hosts: its mounted file is overwritten
// in place. A file with a second hard link is replaced, so that the other one does not change.
func TestFilesAreOverwritten(t *testing.T) {
	lab := func(hosts string) topo.State {
		_, want := labtest.Compiled(t, "name: over\nnetworks: {n: {subnets: [10.0.0.0/24]}}\nhosts: {"+hosts+"}\n")
		return want
	}
	k := openKernel(t, "over")
	up := func(want topo.State) (text string, inode uint64) {
		t.Helper()
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(k.table.Etc, "red", "hosts")
		b, err := os.ReadFile(path)
		var st unix.Stat_t
		if err := errors.Join(err, unix.Stat(path, &st)); err != nil {
			t.Fatal(err)
		}
		return string(b), st.Ino
	}
	const (
		one   = "red: {networks: [n]}"
		two   = one + ", blue: {networks: [n]}"
		three = two + ", green: {networks: [n]}"
	)
	_, first := up(lab(one))
	text, second := up(lab(two))
	if first != second || !strings.Contains(text, " blue\n") {
		t.Errorf("inode %d became %d:\n%s", first, second, text)
	}
	if again, _ := up(lab(one)); strings.Contains(again, "blue") || !strings.HasSuffix(again, "\n") {
		t.Errorf("the shorter text is incomplete, or a rest of the longer one follows:\n%s", again)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.Link(filepath.Join(k.table.Etc, "red", "hosts"), kept); err != nil {
		kept = filepath.Join(k.table.Etc, ".kept") // TempDir is on another file system
		if err := os.Link(filepath.Join(k.table.Etc, "red", "hosts"), kept); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(kept) })
	}
	before, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if text, third := up(lab(three)); third == first || !strings.Contains(text, " green\n") {
		t.Errorf("the file has a second hard link and was overwritten:\n%s", text)
	}
	if after, err := os.ReadFile(kept); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the second hard link is now %q, %v", after, err)
	}
}

// A foreign file in the place of a namespace's name stays.
func TestForeignFileInPlaceOfName(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: place\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	path := filepath.Join(nsfs.Dir, "red")
	if err := errors.Join(os.MkdirAll(nsfs.Dir, 0o755), os.WriteFile(path, []byte("not yours\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	_, err := k.Up(t.Context(), want, nil)
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "vnet netns delete red") {
		t.Errorf("up returned %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "not yours\n" {
		t.Errorf("it is now %q, %v", text, err)
	}
	// The stale name of another lab is replaced.
	if err := os.WriteFile(path, []byte(mark.Of("gone")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error(err)
	}
}

// ip-netns(8) allows any file in /etc/netns/NAME that /etc may have.
func TestForeignFilesInEtcNetns(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: etc\nnetworks: {n: {subnets: [10.0.0.0/24]}}\n"+
		"hosts: {red: {networks: [n]}, blue: {networks: [n]}}\n")
	k := openKernel(t, lab)
	dir := filepath.Join(k.table.Etc, "red")
	if err := os.MkdirAll(filepath.Join(dir, "systemd"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Symlink("nowhere", filepath.Join(dir, "localtime")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"systemd", "localtime", "fifo"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	// In the place of a file of the lab, Up returns an error.
	if err := unix.Mkfifo(filepath.Join(dir, "hosts"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Up(t.Context(), want, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("up returned %v", err)
	}
}

// Another program creates a link between the plan and the first request. The link gets the
// kernel's next index, and vnet does not change it.
func TestForeignLinkCreatedMeanwhile(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := example(t, "cheatsheet.yaml")
	k := openKernel(t, lab)
	injectFaults(k, func(n int) error {
		if n == 0 {
			labtest.IP(t, "link add foreign address 02:00:00:00:00:99 type bridge")
		}
		return nil
	})
	defer labtest.IP(t, "link del foreign")
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error(err)
	}
	l, err := k.table.Handles[""].Conn.Link(rtnl.LinkID{Name: "foreign"})
	if err != nil || l.Alias != "" || l.Address.String() != "02:00:00:00:00:99" {
		t.Errorf("it is now %+v, %v", l, err)
	}
}

// The machine's namespace may also have a name.
func TestNamedMachineNamespace(t *testing.T) {
	here, err := nsfs.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if err := nsfs.Attach(here, "aaa"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nsfs.Remove("aaa") })
	lab, want := labtest.Compiled(t, "name: wall\n"+
		"networks: {n: {subnets: [10.0.0.0/24]}}\nhosts: {h: {networks: [n], repeat: 12}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if have, err := k.Snapshot(want); err != nil || !have.Equal(want) {
		t.Errorf("-want +got, %v:\n%s", err, cmp.Diff(want.String(), have.String()))
	}
}

// Deleting a file that no longer exists is no error.
func TestDeletedFile(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: wall\nhosts: {red: {dns: {servers: [10.0.0.1]}}}\n")
	_, without := labtest.Compiled(t, "name: wall\nhosts: {red: {}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	_, err := k.Up(t.Context(), without, func(_ topo.Plan, do topo.Do) topo.Do {
		if err := os.Remove(filepath.Join(k.table.Etc, "red", "resolv.conf")); err != nil {
			t.Error(err)
		}
		return do
	})
	if err != nil {
		t.Error(err)
	}
}
