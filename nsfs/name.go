package nsfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Dir has one file per named namespace. ip-netns(8) uses the same directory.
const Dir = "/run/netns"

// maxName is NAME_MAX of <linux/limits.h>, in bytes.
const maxName = 255

// maxMounts is the largest number of mounts on one name that Remove unmounts.
const maxMounts = 64

// ErrName means that a name cannot be the name of a namespace.
var ErrName = errors.New("not a name for a network namespace")

// Entry is one name in [Dir].
type Entry struct {
	Name string
	// ID identifies the namespace; zero when Stale or Err is set.
	ID ID
	// Stale means that the file of the name is not a namespace: it is left from a
	// crash or a reboot, or another program created it.
	Stale bool
	// Err is why the file cannot be read, although it may be a namespace.
	Err error
}

// Add creates a namespace with a name. If the name exists, even as a stale file,
// the error is fs.ErrExist.
func Add(name string) error {
	ns, err := New()
	if err != nil {
		return err
	}
	defer ns.Close()
	return Attach(ns, name)
}

// Attach gives an open namespace a name. The name keeps the namespace alive. If the
// name exists, the error is fs.ErrExist. On any error, Attach leaves no file of
// that name.
func Attach(ns *os.File, name string) error { return AttachMarked(ns, name, "") }

// AttachMarked is [Attach] that also writes a mark, of at most 256 bytes, into the
// file that the namespace is mounted on. The mark says who owns the name. If a
// program dies while it creates or removes the name, the file may be left; then
// [StaleMark] returns its mark.
func AttachMarked(ns *os.File, name, mark string) error {
	if err := checkNewName(name); err != nil {
		return err
	}
	if !isNetNS(int(ns.Fd())) {
		return &fs.PathError{Op: "name network namespace", Path: ns.Name(), Err: ErrNotNamespace}
	}
	if err := prepareDir(); err != nil {
		return err
	}
	path := filepath.Join(Dir, name)
	if err := createFile(path, mark); err != nil {
		return &fs.PathError{Op: "create network namespace file", Path: path, Err: err}
	}
	// Use the file descriptor: /proc/self/ns is the namespace of the first thread.
	from := fmt.Sprintf("/proc/self/fd/%d", ns.Fd())
	if err := unix.Mount(from, path, "none", unix.MS_BIND, ""); err != nil {
		_ = unix.Unlink(path) // the first error is the one to return
		return &fs.PathError{Op: "bind network namespace", Path: path, Err: err}
	}
	return nil
}

// createFile creates a file with a text. If the file system supports O_TMPFILE, the
// file appears only with its text.
func createFile(path, text string) error {
	fd, err := unix.Open(filepath.Dir(path), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o444)
	unnamed := err == nil
	if !unnamed {
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o444)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if text != "" {
		_, err = unix.Write(fd, []byte(text))
	}
	switch {
	case unnamed && err == nil:
		from := fmt.Sprintf("/proc/self/fd/%d", fd)
		err = unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	case !unnamed && err != nil:
		_ = unix.Unlink(path) // the first error is the one to return
	}
	return err
}

// maxMark is the number of bytes of a mark that are read.
const maxMark = 256

// StaleMark returns the mark that [AttachMarked] wrote into the file of a stale
// name. It is "" if the file has none, or if a namespace is mounted on it.
func StaleMark(name string) string {
	path, err := pathOf(name)
	if err != nil {
		return ""
	}
	return readMark(unix.AT_FDCWD, path)
}

// Marks returns the marks that [AttachMarked] wrote, by name: those of namespaces
// and those of stale names. Names without a mark are left out. Root inside a
// namespace can change the objects in it, but not its mark. Marks returns nil if the
// kernel does not let the caller read the files below the mounts: mounts of another
// user namespace cannot be removed, not even in a copy.
func Marks() map[string]string {
	tree, err := unix.OpenTree(unix.AT_FDCWD, Dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil
	}
	defer unix.Close(tree)
	names, err := Names()
	if err != nil {
		return nil
	}
	marks := make(map[string]string, len(names))
	for _, name := range names {
		if mark := readMark(tree, name); mark != "" {
			marks[name] = mark
		}
	}
	return marks
}

// readMark returns the mark in a file; "" if it is not a regular file, or a
// namespace is mounted on it.
func readMark(dir int, path string) string {
	var st unix.Stat_t
	var text [maxMark]byte
	fd, err := unix.Openat(dir, path, openFlags|unix.O_NOFOLLOW, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || isNetNS(fd) {
		return ""
	}
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return ""
	}
	return string(text[:n])
}

// Remove removes a name. The namespace stays while something else refers to it;
// otherwise the kernel destroys it a moment later, asynchronously. If the name does
// not exist, the error is fs.ErrNotExist. Stale names are removed as well. If the file
// cannot be removed, the name stays and still refers to the namespace.
func Remove(name string) error {
	path, err := pathOf(name)
	if err != nil {
		return err
	}
	unmounted := false
	for range maxMounts {
		// First unlink: if it is not allowed, for example on a read-only disk, nothing has changed.
		if err = unix.Unlink(path); err == nil || err != unix.EBUSY && !unmounted {
			break
		}
		if err != unix.EBUSY {
			continue // the name is no longer a mount: only the file is left
		}
		unmountErr := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if unmountErr != nil && (unmountErr != unix.EINVAL || !unmounted) { // EINVAL: it is no longer a mount
			return &fs.PathError{Op: "unmount network namespace", Path: path, Err: unmountErr}
		}
		unmounted = true
	}
	if err != nil {
		return &fs.PathError{Op: "remove network namespace file", Path: path, Err: err}
	}
	return nil
}

// List returns the names in [Dir] in the order of the directory, like ip-netns(8).
// If the directory does not exist, there are no names.
func List() ([]Entry, error) {
	names, err := Names()
	if err != nil || names == nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		entries = append(entries, entryOf(name))
	}
	return entries, nil
}

// Names returns the names in [Dir] in the order of the directory; nil if the directory
// does not exist. It does not check whether they are stale.
func Names() ([]string, error) {
	dir, err := os.Open(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func entryOf(name string) Entry {
	ns, err := OpenPath(filepath.Join(Dir, name))
	if err != nil {
		if errors.Is(err, ErrNotNamespace) || errors.Is(err, fs.ErrNotExist) {
			return Entry{Name: name, Stale: true}
		}
		return Entry{Name: name, Err: err}
	}
	defer ns.Close()
	id, err := Identity(ns)
	return Entry{Name: name, ID: id, Err: err}
}

// pathOf returns the path of a name's file. It refuses names that lead outside of [Dir].
func pathOf(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("%w: it is empty", ErrName)
	case name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return "", fmt.Errorf("%w: %q", ErrName, name)
	case len(name) > maxName:
		return "", fmt.Errorf("%w: %q has %d bytes, a name has at most %d", ErrName, name[:32]+"…", len(name), maxName)
	}
	return filepath.Join(Dir, name), nil
}

// checkNewName also refuses names that programs would read as options or that a
// shell would split. If such a name exists, it can be opened and removed.
func checkNewName(name string) error {
	if _, err := pathOf(name); err != nil {
		return err
	}
	if name[0] == '-' {
		return fmt.Errorf("%w: %q begins with a dash", ErrName, name)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: %q is not UTF-8", ErrName, name)
	}
	for _, r := range name {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("%w: %q contains %q", ErrName, name, r)
		}
	}
	return nil
}

// prepareDir makes [Dir] a shared mount point, so that names that are created in
// one mount namespace appear in the others. It takes the same lock as ip-netns(8):
// two programs that do this for the first time at once would mount on top of each
// other, and every later name would be mounted twice. Later mounts inside a shared
// mount are shared, too; so MS_REC is needed only the first time.
func prepareDir() error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return &fs.PathError{Op: "lock", Path: Dir, Err: err}
	}
	err = unix.Mount("", Dir, "none", unix.MS_SHARED, "")
	if err == unix.EINVAL { // not a mount point yet
		if err = unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return &fs.PathError{Op: "share mount", Path: Dir, Err: err}
	}
	return nil
}
