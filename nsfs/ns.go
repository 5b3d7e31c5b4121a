package nsfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// nsGetNsType is NS_GET_NSTYPE of <linux/nsfs.h>: the CLONE_NEW* flag of a
// namespace file.
const nsGetNsType = 0xb703

// ErrNotNamespace says that a file is there but no network namespace is behind
// it: a name left over from a crash or a reboot, or something else's file.
var ErrNotNamespace = errors.New("not a network namespace")

// ID tells namespaces apart: two files with equal IDs are one namespace. It is
// the device and inode of the namespace file, as namespaces(7) says, and holds
// while the namespace lives.
type ID struct {
	Dev uint64
	Ino uint64
}

// New makes a network namespace without a name. It lives until the file is
// closed, unless [Attach] names it. Its only link, lo, is down.
func New() (*os.File, error) {
	var ns *os.File
	err := onThread(func() (err error) {
		ns, err = unshare()
		return err
	})
	return ns, err
}

// unshare moves the calling thread, which its caller throws away, into a new
// namespace.
func unshare() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("create network namespace: %w", err)
	}
	return Current()
}

// Current opens the network namespace of the calling thread: the machine's,
// outside [Do].
func Current() (*os.File, error) { return OpenPath("/proc/thread-self/ns/net") }

// Open opens the namespace that has a name in [Dir]. An absent one is
// fs.ErrNotExist; a name without a namespace behind it, [ErrNotNamespace].
func Open(name string) (*os.File, error) {
	path, err := pathOf(name)
	if err != nil {
		return nil, err
	}
	return OpenPath(path)
}

// OpenPid opens the network namespace of a process's first thread.
func OpenPid(pid int) (*os.File, error) {
	return OpenPath(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
}

// OpenPath opens a namespace by its file: one of /proc/PID/ns, or a bind mount
// of one. A file that is something else is [ErrNotNamespace].
func OpenPath(path string) (*os.File, error) {
	// Nonblocking, so that a FIFO under that name cannot hold us up.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open network namespace", Path: path, Err: err}
	}
	if !isNetNS(fd) {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open network namespace", Path: path, Err: ErrNotNamespace}
	}
	// Nobody waits for it to become readable: package os need not prepare for that.
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open network namespace", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// isNetNS asks the file itself. A namespace of another kind would be refused
// by setns only later, and a plain file with a bare EINVAL.
func isNetNS(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil || st.Type != unix.NSFS_MAGIC {
		return false
	}
	kind, err := unix.IoctlRetInt(fd, nsGetNsType)
	return err == nil && kind == unix.CLONE_NEWNET
}

// Identity returns what tells the namespace behind ns from every other.
func Identity(ns *os.File) (ID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		return ID{}, &fs.PathError{Op: "stat", Path: ns.Name(), Err: err}
	}
	return idOf(&st), nil
}

func idOf(st *unix.Stat_t) ID { return ID{Dev: uint64(st.Dev), Ino: st.Ino} } //nolint:unconvert // 32 bits on mips

// Stat is [Identity] of the namespace that has a name in [Dir], without opening it.
// A name with no namespace behind it has an ID that no namespace has.
func Stat(name string) (ID, error) {
	path, err := pathOf(name)
	if err != nil {
		return ID{}, err
	}
	return statID(path)
}

// statID is [Identity] by path, without opening the namespace.
func statID(path string) (ID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ID{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return idOf(&st), nil
}
