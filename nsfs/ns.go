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

// ErrNotNamespace means that a file exists but is not a network namespace: the
// name is left from a crash or a reboot, or the file belongs to another program.
var ErrNotNamespace = errors.New("not a network namespace")

// ID identifies a namespace: two files with equal IDs are the same namespace. It
// is the device and inode number of the namespace file; see namespaces(7). It is
// unique while the namespace exists.
type ID struct {
	Dev uint64
	Ino uint64
}

// New creates a network namespace without a name. It exists until the file is
// closed, unless [Attach] gives it a name. Its only link, lo, is down.
func New() (*os.File, error) {
	var ns *os.File
	err := onThread(func() (err error) {
		ns, err = unshare()
		return err
	})
	return ns, err
}

// unshare moves the calling thread into a new namespace. The caller must end the
// thread.
func unshare() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("create network namespace: %w", err)
	}
	return Current()
}

// Current opens the network namespace of the calling thread. Outside of [Do] that
// is the namespace of the process.
func Current() (*os.File, error) { return OpenPath("/proc/thread-self/ns/net") }

// Open opens the namespace that has a name in [Dir]. If the name does not exist,
// the error is fs.ErrNotExist; if it is stale, [ErrNotNamespace].
func Open(name string) (*os.File, error) {
	path, err := pathOf(name)
	if err != nil {
		return nil, err
	}
	ns, err := OpenPath(path)
	var st unix.Stat_t
	if errors.Is(err, fs.ErrNotExist) && unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil, notNamespace(path, unix.ENOENT) // a symbolic link that leads nowhere
	}
	return ns, err
}

// notNamespace returns an [ErrNotNamespace] for a file that cannot even be opened.
func notNamespace(path string, errno error) error {
	return &fs.PathError{Op: "open network namespace", Path: path, Err: fmt.Errorf("%w: %w", ErrNotNamespace, errno)}
}

// OpenPid opens the network namespace of the first thread of a process. If there is no
// such process, the error is fs.ErrNotExist.
func OpenPid(pid int) (*os.File, error) {
	return OpenPath(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
}

// openFlags are for a file that should be a namespace, or the file under its mount, but may be
// anything: opening a FIFO does not wait, and a terminal does not become the controlling terminal.
const openFlags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

// OpenPath opens a namespace by its file: /proc/PID/ns/net or a bind mount of it.
// For any other file the error is [ErrNotNamespace]; a FIFO does not make it wait.
func OpenPath(path string) (*os.File, error) {
	fd, err := unix.Open(path, openFlags, 0)
	switch err {
	case nil:
	case unix.ENOENT, unix.EACCES, unix.EPERM, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, unix.ESRCH:
		return nil, &fs.PathError{Op: "open network namespace", Path: path, Err: err}
	default: // ELOOP, ENOTDIR, ENXIO, EIO …: opening a namespace has none of these errors
		return nil, notNamespace(path, err)
	}
	if !isNetNS(fd) {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open network namespace", Path: path, Err: ErrNotNamespace}
	}
	// Blocking again, so that package os does not add the file to its poller.
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open network namespace", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// isNetNS reports whether an open file is a network namespace. Without this check
// setns(2) would fail later, with only EINVAL.
func isNetNS(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil || st.Type != unix.NSFS_MAGIC {
		return false
	}
	kind, err := unix.IoctlRetInt(fd, nsGetNsType)
	return err == nil && kind == unix.CLONE_NEWNET
}

// Identity returns the ID of the namespace ns.
func Identity(ns *os.File) (ID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		return ID{}, &fs.PathError{Op: "stat", Path: ns.Name(), Err: err}
	}
	return idOf(&st), nil
}

func idOf(st *unix.Stat_t) ID { return ID{Dev: uint64(st.Dev), Ino: st.Ino} } //nolint:unconvert // 32 bits on mips

// Stat returns the [Identity] of the namespace that has a name in [Dir] without
// opening it. For a stale name it returns an ID that no namespace has. If the name does
// not exist, the error is fs.ErrNotExist.
func Stat(name string) (ID, error) {
	path, err := pathOf(name)
	if err != nil {
		return ID{}, err
	}
	return statID(path)
}

// statID returns the ID of the namespace file at a path without opening it.
func statID(path string) (ID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ID{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return idOf(&st), nil
}
