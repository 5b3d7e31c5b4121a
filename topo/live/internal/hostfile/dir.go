package hostfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dirMode is the mode of the directories that vnet makes. They have the sticky bit, which changes nothing for a
// directory that only root can write to. It shows that vnet may remove the directory.
const dirMode = 0o755 | fs.ModeSticky

// makeDir makes a directory, and those above it. The error is fs.ErrExist if there is something of this name.
func makeDir(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		_ = makeDir(filepath.Dir(dir)) // the next error says why it failed
		err = os.Mkdir(dir, dirMode)
	}
	return err
}

// RemoveDir removes a directory that vnet made, if it is empty. It leaves directories, symbolic links and files that
// others made.
func RemoveDir(dir string) {
	var st unix.Stat_t
	if unix.Lstat(dir, &st) == nil && st.Mode&unix.S_ISVTX != 0 {
		_ = unix.Rmdir(dir) // fails for other files, and if it is not empty
	}
}

// Each calls fn with the path of each file in the directories of etc, except those of the names to skip. It continues
// after errors, and returns all.
func Each(etc string, skip func(name string) bool, fn func(path string) error) error {
	dirs, err := os.ReadDir(etc)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, d := range dirs {
		if !d.IsDir() || skip(d.Name()) {
			continue
		}
		dir := filepath.Join(etc, d.Name())
		files, err := readDir(dir)
		errs = append(errs, err)
		for _, name := range files {
			errs = append(errs, fn(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}

// readDir returns the names in a directory; none if it does not exist, is a symbolic link or no directory. It makes
// fewer system calls than [os.ReadDir], and does not follow a link.
func readDir(dir string) (names []string, err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return nil, nil
	default:
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	var buffer [2048]byte
	for {
		n, err := unix.ReadDirent(fd, buffer[:])
		if err == unix.ENOENT { // another process removed it meanwhile
			return nil, nil
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: dir, Err: err}
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// isDir reports whether there is a directory of this name. A symbolic link is none.
func isDir(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}
