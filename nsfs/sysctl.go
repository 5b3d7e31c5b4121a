package nsfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sysctl reads a network setting of the calling thread's namespace; inside [Do],
// of that one. The key is sysctl(8)'s: net.ipv4.ip_forward, or with slashes
// where a link's name has a dot: net/ipv4/conf/eth0.5/forwarding. A key the
// kernel does not have is fs.ErrNotExist.
func Sysctl(key string) (string, error) {
	path, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	return strings.TrimSuffix(string(b), "\n"), err
}

// SetSysctl writes a network setting of the calling thread's namespace; see
// [Sysctl].
func SetSysctl(key, value string) error {
	path, err := sysctlPath(key)
	if err != nil {
		return err
	}
	// Opened without O_CREATE and O_TRUNC: neither means anything here.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// sysctlPath refuses everything outside of net: only that differs between
// network namespaces, all else is the whole machine's.
func sysctlPath(key string) (string, error) {
	path := key
	if !strings.Contains(key, "/") {
		path = strings.ReplaceAll(key, ".", "/")
	}
	if !strings.HasPrefix(path, "net/") || !filepath.IsLocal(path) || filepath.Clean(path) != path {
		return "", fmt.Errorf("sysctl %q: not a setting under net", key)
	}
	return filepath.Join("/proc/sys", path), nil
}
