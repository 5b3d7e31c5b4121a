package live

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// fileStage writes or removes files, a few at a time.
func (x *executor) fileStage(stage []topo.Step, results []result) {
	parallel.Each(workers, len(stage), func(i int) {
		err := x.files.step(x.calls, stage[i])
		results[i] = result{err: err, touched: err == nil}
	})
	if stage[0].Op() == topo.Delete {
		os.Remove(x.etc) // if it is empty
	}
}

// labFiles reads and writes the files of a lab for its hosts' /etc.
type labFiles struct {
	*handleTable
	buffers sync.Pool // of []byte
	mu      sync.Mutex
	texts   map[string]string // texts that were read, so that equal texts are kept once
}

// step writes a new file under a temporary name and renames it, so that no program
// reads half a file. It overwrites an existing file in place: ip-netns(8) bind-mounts the
// file for the programs of the host, and they would not see a new file of that name.
func (l *labFiles) step(calls *kernelCalls, step topo.Step) error {
	f := step.Object().(topo.File)
	h, err := l.handle(f.NS)
	if err != nil {
		return err
	}
	if h.ref == "" {
		return fmt.Errorf("netns %s has no name, so it has no directory in %s", h.name, l.etc)
	}
	dir := filepath.Join(l.etc, h.ref)
	path := filepath.Join(dir, f.Name)
	if step.Op() == topo.Delete {
		err := calls.removeFile(path)
		os.Remove(dir) // if it is empty
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			h.cacheFile(f, true)
		}
		return err
	}
	if err := l.prepareDir(h, dir, path, step.Op()); err != nil {
		return err
	}
	was, _ := step.Have.(topo.File)
	if err := l.write(calls, path, f.Content, was.Content, step.Op() == topo.Change); err != nil {
		return err
	}
	h.cacheFile(f, false)
	return nil
}

// write writes a file of the lab. If it cannot overwrite an existing one, it restores its content.
func (l *labFiles) write(calls *kernelCalls, path, content, was string, exists bool) (err error) {
	buffer, _ := l.buffers.Get().([]byte)
	text := append(append(buffer[:0], mark.FileMark(l.lab)...), content...)
	defer l.buffers.Put(text[:0]) //nolint:staticcheck // allocating a slice header is cheap compared with the array
	if exists {
		err = calls.overwriteFile(path, text)
		if !errors.Is(err, errForeignFile) {
			if err != nil {
				err = errors.Join(err, calls.overwriteFile(path, append([]byte(mark.FileMark(l.lab)), was...)))
			}
			return err
		}
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+mark.Of(l.lab))
	if err = calls.writeFile(temp, text); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = removeFile(temp) // report the first error
	}
	return err
}

// cacheFile updates the cached text of a file.
func (h *netnsHandle) cacheFile(f topo.File, deleted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if deleted {
		delete(h.files, f.Name)
	} else {
		h.files = with(h.files, f.Name, f.Content)
	}
}

// prepareDir creates the directory for a file. For Create, it fails if a foreign file
// has the name.
func (l *labFiles) prepareDir(h *netnsHandle, dir, path string, op topo.Op) error {
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		return nil // a new directory is empty
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if op != topo.Create {
		return nil
	}
	b, err := readRegular(path, nil)
	if errors.Is(err, errNotRegular) || err == nil && !l.mayReplace(h, string(b)) {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return nil
}

// Files are written and read without [os.File], which would first try to register each
// of the thousands of files with epoll.

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

// readRegular reads a file that may be foreign: it does not follow a symbolic link and
// does not wait for the writer of a FIFO. It may use the buffer into.
func readRegular(path string, into []byte) ([]byte, error) {
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

// mayReplace reports whether the lab may replace an existing file with this text: the file
// belongs to this lab, or to another lab without a namespace of this name, as after a reboot.
func (l *labFiles) mayReplace(h *netnsHandle, text string) bool {
	return strings.HasPrefix(text, mark.FileMark(l.lab)) || h.own && strings.HasPrefix(text, "# "+mark.Of(""))
}

// removeFile removes a file, and also its directory and the directory's parent if they become empty.
func removeFile(path string) error {
	err := os.Remove(path)
	os.Remove(filepath.Dir(path))
	os.Remove(filepath.Dir(filepath.Dir(path)))
	return err
}

// isUnfinished reports whether a file is a temporary file of the lab that is only partly written.
func (l *labFiles) isUnfinished(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, "."+mark.Of(l.lab))
}

// readFiles reads the files for /etc that have the lab's mark.
func (l *labFiles) readFiles(v *netnsSnapshot) error {
	v.handle.files, v.handle.unfinishedFiles = nil, nil
	if v.handle.ref == "" {
		return nil
	}
	dir := filepath.Join(l.etc, v.handle.ref)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	files := make(map[string]string, len(entries))
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if l.isUnfinished(e.Name()) {
			v.handle.unfinishedFiles = append(v.handle.unfinishedFiles, path)
			continue
		}
		text, ok, err := l.readFile(path, v.wanted.files[e.Name()])
		if err != nil {
			return err
		}
		if ok && !strings.HasPrefix(e.Name(), ".") {
			files[e.Name()] = text
		}
	}
	v.handle.files = files
	return nil
}

// readFile reads a file; ok is false if it is not the lab's. If the text equals
// the wanted or a cached string, it returns that string: a thousand hosts may share one text.
func (l *labFiles) readFile(path, wanted string) (text string, ok bool, err error) {
	buffer, _ := l.buffers.Get().([]byte)
	b, err := readRegular(path, buffer)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
		return "", false, nil // ip-netns(8) allows any file that /etc may have
	}
	if err != nil {
		return "", false, err
	}
	defer l.buffers.Put(b[:0]) //nolint:staticcheck // allocating a slice header is cheap compared with the array
	b, ok = bytes.CutPrefix(b, []byte(mark.FileMark(l.lab)))
	if !ok {
		return "", false, nil
	}
	if wanted == string(b) {
		return wanted, true, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.texts == nil {
		l.texts = map[string]string{}
	}
	if text, ok = l.texts[string(b)]; !ok {
		text = string(b)
		l.texts[text] = text
	}
	return text, true, nil
}

// isStaleFile reports whether a file of the lab is partly written or has no namespace.
func (l *labFiles) isStaleFile(dir, name string) bool {
	if l.isUnfinished(name) {
		return true
	}
	_, err := os.Lstat(filepath.Join(nsfs.Dir, filepath.Base(dir)))
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	b, err := readRegular(filepath.Join(dir, name), nil)
	return err == nil && strings.HasPrefix(string(b), mark.FileMark(l.lab))
}
