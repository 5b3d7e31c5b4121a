package nsfs

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestProcMount: the entries of the namespaces that other programs have used are in another proc file system, if this
// one may be mounted, and after some uses there is a new one.
func TestProcMount(t *testing.T) {
	device := func(dir int, path string) uint64 {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Fstatat(dir, path, &st, 0); err != nil {
			t.Fatal(err)
		}
		return st.Dev
	}
	p := &procMount{dir: -1}
	defer p.close()
	changes, last := 0, device(unix.AT_FDCWD, "/proc/sys")
	for range 2*procUses + 1 {
		if now := device(p.sys(), "net"); now != last {
			changes, last = changes+1, now
		}
	}
	if changes != 3 && !p.fails || changes != 0 && p.fails {
		t.Errorf("%d changes to another proc file system; it cannot be mounted: %t", changes, p.fails)
	}
}
