package nsfs_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestReadOnlySysctls: where /proc/sys is read-only, a sysctl that has the value already is no
// error. Otherwise the error names the sysctl and the value.
func TestReadOnlySysctls(t *testing.T) {
	const key, slashes, dir = "net.ipv4.ip_forward", "net/ipv4/ip_forward", "/proc/sys"
	have, err := nsfs.Sysctl(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(dir, dir, "none", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	const flags = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("", dir, "", flags, ""); err != nil {
		t.Fatal(err)
	}
	if err := nsfs.SetSysctl(key, have); err != nil {
		t.Errorf("the value that it has: %v", err)
	}
	other := map[string]string{"0": "1", "1": "0"}[have]
	for _, set := range []string{key, slashes} {
		err = nsfs.SetSysctl(set, other)
		var e *nsfs.SysctlError
		if !errors.As(err, &e) || e.Key != key || e.Value != other || !errors.Is(err, unix.EROFS) {
			t.Errorf("another value: %v", err)
		}
	}
}

// TestSysctlsThatNobodyWrites: a sysctl that the kernel only shows is no error either, if it has the value.
func TestSysctlsThatNobodyWrites(t *testing.T) {
	const key = "net.ipv4.tcp_available_congestion_control"
	have, err := nsfs.Sysctl(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := nsfs.SetSysctl(key, have); err != nil {
		t.Errorf("the value that it has: %v", err)
	}
	if err := nsfs.SetSysctl(key, "another"); !errors.Is(err, unix.EACCES) {
		t.Errorf("another value: %v", err)
	}
}
