package hostfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Files are written and read without [os.File], which would first try to register each
// of the thousands of files with epoll.

// writeFile creates a file, or replaces the text of an existing one.
func writeFile(path string, text []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if err := writeAll(fd, text); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// errForeignFile reports a file that differs from those that vnet creates; see overwriteFile. vnet
// replaces it with a new file.
var errForeignFile = errors.New("foreign file")

// overwriteFile replaces the text of a lab's file. A concurrent reader may see parts of
// both texts. If the file's owner, mode or type differs, or it has a second hard link,
// it changes nothing and returns errForeignFile.
func overwriteFile(path string, text []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return errForeignFile
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode != unix.S_IFREG|0o644 || st.Nlink != 1 ||
		int(st.Uid) != os.Geteuid() {
		return errForeignFile
	}
	if err := writeAll(fd, text); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	if err := unix.Ftruncate(fd, int64(len(text))); err != nil {
		return &fs.PathError{Op: "truncate", Path: path, Err: err}
	}
	return nil
}

func writeAll(fd int, text []byte) error {
	for len(text) > 0 {
		n, err := unix.Write(fd, text)
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// errNotRegular reports a directory, symbolic link or FIFO in the place of a lab's file.
var errNotRegular = errors.New("not a regular file")

// ReadRegular reads a file that may be foreign: it does not follow a symbolic link and
// does not wait for the writer of a FIFO. It may use the buffer into.
func ReadRegular(path string, into []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ELOOP {
		return nil, errNotRegular
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.Join(err, errNotRegular)
	}
	b, err := readAll(fd, into)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return b, nil
}

// readAll reads a file to its end. It uses the buffer into if that is large enough.
func readAll(fd int, into []byte) ([]byte, error) {
	b := into[:0]
	for {
		b = slices.Grow(b, 512)
		n, err := unix.Read(fd, b[len(b):cap(b)])
		if n <= 0 || err != nil {
			return b, err
		}
		b = b[:len(b)+n]
	}
}

// Remove removes a file, and also its directory and the directory's parent if vnet made them and they become empty.
func Remove(path string) error {
	err := os.Remove(path)
	RemoveDir(filepath.Dir(path))
	RemoveDir(filepath.Dir(filepath.Dir(path)))
	return err
}
