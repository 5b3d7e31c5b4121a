package nsfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrUntrusted means that another user can change a file or directory, or that it is of
// another type, such as a symbolic link.
var ErrUntrusted = errors.New("not safe to use")

// OpenPrivate opens a file in a directory for reading and writing. It creates both if they
// do not exist. It follows no symbolic link in the last two parts of the path. The
// directory and the file must belong to root or to the caller, and no other user may write
// to them; otherwise the error is [ErrUntrusted]. In a user namespace, files of users
// outside are not trusted either.
func OpenPrivate(dir, name string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTDIR) {
		return nil, err
	}
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOTDIR, unix.ELOOP:
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fmt.Errorf("%w: it is not a directory", ErrUntrusted)}
	default:
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(at)
	if err := checkOwner(at, unix.S_IFDIR); err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	path := filepath.Join(dir, name)
	// With O_NONBLOCK, opening a FIFO does not wait for its other end.
	const flags = unix.O_CREAT | unix.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(at, name, flags, 0o600)
	switch err {
	case nil:
	case unix.ELOOP, unix.ENXIO, unix.EISDIR:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("%w: it is not a regular file", ErrUntrusted)}
	default:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if err := checkOwner(fd, unix.S_IFREG); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// overflowUID (DEFAULT_OVERFLOWUID of <linux/highuid.h>) is the user id that a process
// sees for all users without an id in its user namespace: as owner of files, and as its
// own id.
const overflowUID = 65534

// checkOwner checks the type, the owner and the mode of an open file.
func checkOwner(fd int, typ uint32) error {
	var st unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != typ:
		return fmt.Errorf("%w: it is not a regular file", ErrUntrusted)
	case st.Uid == overflowUID:
		return fmt.Errorf("%w: it belongs to nobody, or to a user outside of this user namespace", ErrUntrusted)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%w: it belongs to user %d", ErrUntrusted, st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%w: other users can write to it (mode %04o)", ErrUntrusted, st.Mode&0o7777)
	case typ == unix.S_IFREG && st.Nlink > 1:
		return fmt.Errorf("%w: it has more than one name (hard links)", ErrUntrusted)
	}
	return nil
}
