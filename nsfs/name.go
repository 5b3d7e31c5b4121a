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

// Dir holds the named namespaces. ip-netns(8) uses the same.
const Dir = "/run/netns"

// maxName is NAME_MAX of <linux/limits.h>, in bytes.
const maxName = 255

// maxMounts bounds how many mounts on one name are taken off it.
const maxMounts = 64

// ErrName says that a namespace cannot be called that.
var ErrName = errors.New("not a name for a network namespace")

// Entry is one name in [Dir].
type Entry struct {
	Name string
	// ID tells which namespace it is; zero when Stale.
	ID ID
	// Stale means that no namespace is behind the name: it was left over by a
	// crash or a reboot, or another program put the file there.
	Stale bool
}

// Add makes a namespace under a name. A name that is taken, be it by a stale
// file, is fs.ErrExist.
func Add(name string) error {
	ns, err := New()
	if err != nil {
		return err
	}
	defer ns.Close()
	return Attach(ns, name)
}

// Attach gives an open namespace a name, which keeps it alive. A name that is
// taken is fs.ErrExist. Whatever fails, nothing is left under the name.
func Attach(ns *os.File, name string) error { return AttachNoted(ns, name, "") }

// AttachNoted does as [Attach] does, and writes a note into the file that the
// namespace is mounted on. If its maker, or its remover, dies between two system
// calls, that file is left, and [Note] tells whose it was.
func AttachNoted(ns *os.File, name, note string) error {
	if err := checkNew(name); err != nil {
		return err
	}
	if !isNetNS(int(ns.Fd())) {
		return &fs.PathError{Op: "name network namespace", Path: ns.Name(), Err: ErrNotNamespace}
	}
	if err := prepareDir(); err != nil {
		return err
	}
	path := filepath.Join(Dir, name)
	if err := makeFile(path, note); err != nil {
		return &fs.PathError{Op: "create network namespace file", Path: path, Err: err}
	}
	// Through the descriptor: /proc/self/ns would be the first thread's.
	from := fmt.Sprintf("/proc/self/fd/%d", ns.Fd())
	if err := unix.Mount(from, path, "none", unix.MS_BIND, ""); err != nil {
		_ = unix.Unlink(path) // the first error is the one to tell
		return &fs.PathError{Op: "bind network namespace", Path: path, Err: err}
	}
	return nil
}

// makeFile makes a file that nobody sees without its text, where the file system
// can (O_TMPFILE).
func makeFile(path, text string) error {
	fd, err := unix.Open(filepath.Dir(path), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o444)
	hidden := err == nil
	if !hidden {
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
	case hidden && err == nil:
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	case !hidden && err != nil:
		_ = unix.Unlink(path) // the first error is the one to tell
	}
	return err
}

// maxNote is how much of a note is read, in bytes.
const maxNote = 256

// Note is what [AttachNoted] wrote into the file of a stale name; "" if there is
// none, or a namespace is mounted on it.
func Note(name string) string {
	path, err := pathOf(name)
	if err != nil {
		return ""
	}
	return noteIn(unix.AT_FDCWD, path)
}

// Notes are what [AttachNoted] wrote, by the names: those of namespaces, and stale ones.
// Names without a note are left out. Nobody who rules in a namespace can change its
// note, unlike what is in it. There are none where nobody may look below the mounts:
// those that another user namespace made stay where they are.
func Notes() map[string]string {
	tree, err := unix.OpenTree(unix.AT_FDCWD, Dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil
	}
	defer unix.Close(tree)
	names, err := Names()
	if err != nil {
		return nil
	}
	notes := make(map[string]string, len(names))
	for _, name := range names {
		if note := noteIn(tree, name); note != "" {
			notes[name] = note
		}
	}
	return notes
}

// noteIn reads the note of a file, if it is one, and nothing is mounted on it.
func noteIn(dir int, path string) string {
	var st unix.Stat_t
	var text [maxNote]byte
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
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

// Remove takes a name away. The namespace lives on while something else refers
// to it; without, the kernel takes it down a moment later, on its own time. An
// absent name is fs.ErrNotExist; a stale one is removed like any other.
func Remove(name string) error {
	path, err := pathOf(name)
	if err != nil {
		return err
	}
	for range maxMounts {
		// EINVAL: not a mount point, only a left-over file. ENOENT is unlink's to say.
		err = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && err != unix.EINVAL && err != unix.ENOENT {
			return &fs.PathError{Op: "unmount network namespace", Path: path, Err: err}
		}
		if err = unix.Unlink(path); err != unix.EBUSY { // busy: mounted more than once
			break
		}
	}
	if err != nil {
		return &fs.PathError{Op: "remove network namespace file", Path: path, Err: err}
	}
	return nil
}

// List returns the names in [Dir], in the folder's order, as ip-netns(8) does.
// No folder means no names.
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

// Names returns the names in [Dir] without a look at what is behind them.
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
		// No permission is no proof of staleness.
		return Entry{Name: name, Stale: !errors.Is(err, fs.ErrPermission)}
	}
	defer ns.Close()
	id, err := Identity(ns)
	return Entry{Name: name, ID: id, Stale: err != nil}
}

// pathOf is where a name lives. It refuses what would lie outside of [Dir].
func pathOf(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("%w: it is empty", ErrName)
	case name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return "", fmt.Errorf("%w: %q", ErrName, name)
	case len(name) > maxName:
		return "", fmt.Errorf("%w: %q has %d bytes, of at most %d", ErrName, name[:32]+"…", len(name), maxName)
	}
	return filepath.Join(Dir, name), nil
}

// checkNew refuses, beyond what cannot work, names that bite their user later:
// taken for options, or broken apart by a shell. Existing ones can be opened
// and removed all the same.
func checkNew(name string) error {
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
			return fmt.Errorf("%w: %q holds %q", ErrName, name, r)
		}
	}
	return nil
}

// prepareDir makes [Dir] a shared mount point, so that names made in one mount
// namespace are seen in the others. The lock is the one ip-netns(8) takes: two
// that do this for the first time at once would mount on top of each other,
// and every later name would appear twice as often. What is mounted in a shared
// mount is shared by itself, so there is no need to go through all names each time.
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
