package nsfs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Sysctl reads a network sysctl of the calling thread's namespace; inside [Do] that
// is the namespace given to Do. The key is that of sysctl(8): net.ipv4.ip_forward,
// or with slashes if a link's name has a dot: net/ipv4/conf/eth0.5/forwarding. If
// the kernel does not have the key, the error is fs.ErrNotExist.
func Sysctl(key string) (string, error) {
	path, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, unix.EIO) && strings.HasSuffix(path, "/stable_secret") {
		return "", nil // it has no value yet
	}
	return strings.TrimSuffix(string(b), "\n"), err
}

// A SysctlError is the error for a sysctl that cannot be set because /proc/sys is read-only.
type SysctlError struct {
	// Key has dots: net.ipv4.ip_forward. If a link's name has a dot, it has slashes: net/ipv4/conf/eth0.5/forwarding.
	Key, Value string
	Err        error
}

// Error is "set net.ipv4.ip_forward to 1: open /proc/sys/net/ipv4/ip_forward: read-only file system".
func (e *SysctlError) Error() string { return "set " + e.Key + " to " + e.Value + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *SysctlError) Unwrap() error { return e.Err }

// SetSysctl writes a network sysctl of the calling thread's namespace; see [Sysctl]. If nobody may
// write it, and it has the value already, there is no error. If /proc/sys is read-only, as in
// containers, and the sysctl has another value, the error is a *[SysctlError].
func SetSysctl(key, value string) error {
	path, err := sysctlPath(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		have, readErr := Sysctl(key)
		if readErr == nil && slices.Equal(strings.Fields(have), strings.Fields(value)) {
			return nil
		}
	}
	if errors.Is(err, unix.EROFS) {
		if !strings.Contains(key, ".") {
			key = strings.ReplaceAll(key, "/", ".")
		}
		return &SysctlError{key, value, err}
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(cmp.Or(value, "\n")) // the kernel ignores a write of no bytes
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// sysctlPath returns the file of a key. It refuses keys outside of net: those are
// not per network namespace, but belong to the whole machine.
func sysctlPath(key string) (string, error) {
	path := key
	if !strings.Contains(key, "/") {
		path = strings.ReplaceAll(key, ".", "/")
	}
	if !strings.HasPrefix(path, "net/") || !filepath.IsLocal(path) || filepath.Clean(path) != path {
		return "", fmt.Errorf("sysctl %q: not a key under net", key)
	}
	return filepath.Join("/proc/sys", path), nil
}
