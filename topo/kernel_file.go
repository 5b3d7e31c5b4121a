//go:build linux

package topo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// fileStage writes or removes files, a few at a time.
func (k *Kernel) fileStage(stage []Step, results []result) {
	inParallel(workers, len(stage), func(i int) {
		err := k.faulty()
		if err == nil {
			err = k.fileStep(stage[i])
		}
		results[i] = result{err: err, touched: err == nil}
	})
	if stage[0].Op() == Delete {
		os.Remove(k.etc) // if it is empty
	}
}

// fileStep writes a new file under another name first, so that half of one is never seen. One
// that is there is written over: ip-netns(8) has mounted it for the programs of the host,
// and they would never see another one of its name.
func (k *Kernel) fileStep(step Step) error {
	f := step.Object().(File)
	s, err := k.space(f.NS)
	if err != nil {
		return err
	}
	if s.ref == "" {
		return fmt.Errorf("netns %s has no name, and so no folder in %s", s.name, k.etc)
	}
	dir := filepath.Join(k.etc, s.ref)
	path := filepath.Join(dir, f.Name)
	if step.Op() == Delete {
		err := os.Remove(path)
		os.Remove(dir) // if it is empty
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			s.noteFile(f, true)
		}
		return err
	}
	if err := k.makeRoom(s, dir, path, step.Op()); err != nil {
		return err
	}
	buffer, _ := k.buffers.Get().([]byte)
	text := append(append(buffer[:0], fileMark(k.lab)...), f.Content...)
	defer k.buffers.Put(text[:0]) //nolint:staticcheck // a slice's header is small beside its array
	was, over := step.Have.(File)
	if over {
		if err = writeOver(path, text); err != nil && !errors.Is(err, errOther) {
			err = errors.Join(err, writeOver(path, append([]byte(fileMark(k.lab)), was.Content...)))
		}
	}
	if !over || errors.Is(err, errOther) {
		next := filepath.Join(dir, "."+f.Name+"."+Mark(k.lab))
		if err = writeFile(next, text); err == nil {
			err = os.Rename(next, path)
		}
		if err != nil {
			_ = remove(next) // the first error is the one to tell
		}
	}
	if err == nil {
		s.noteFile(step.Want.(File), false)
	}
	return err
}

// noteFile remembers what became of a file.
func (s *space) noteFile(f File, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gone {
		delete(s.files, f.Name)
	} else {
		s.files = with(s.files, f.Name, f.Content)
	}
}

// makeRoom makes the folder for a file, and refuses where there is another file.
func (k *Kernel) makeRoom(s *space, dir, path string, op Op) error {
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		return nil // and it is empty
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if op != Create {
		return nil
	}
	b, err := readRegular(path, nil)
	if errors.Is(err, errNotRegular) || err == nil && !k.mayReplace(s, string(b)) {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return nil
}

// Files are written and read without [os.File], which would first ask whether it
// could wait for them: there are thousands.

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

// errOther is of a file that is not as a lab's are made: it is to be replaced.
var errOther = errors.New("somebody else's file")

// writeOver gives a lab's file other text. Whoever reads meanwhile may see of both. A file of
// any other owner, mode or kind, or with a second name, it leaves alone.
func writeOver(path string, text []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return errOther
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode != unix.S_IFREG|0o644 || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
		return errOther
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

// errNotRegular is of a folder, a link, a FIFO where a lab's file would be.
var errNotRegular = errors.New("not a regular file")

// readRegular reads a file that may be anybody's: it neither follows a link nor
// waits for a FIFO's writer. into is a buffer that it may use.
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

// readAll reads a file to its end, into a buffer if that is large enough.
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

// mayReplace tells whether a file that is there is no one's but the lab's: it is its
// own, or that of a lab whose namespace of this name is gone, as all are after a
// restart of the machine.
func (k *Kernel) mayReplace(s *space, text string) bool {
	return strings.HasPrefix(text, fileMark(k.lab)) || s.own && strings.HasPrefix(text, "# "+Mark(""))
}

// sweepFiles removes what is of no use: files half written, as [Kernel.Snapshot] met
// them, and those of the lab in folders of namespaces that it does not have.
func (k *Kernel) sweepFiles() (err error) {
	read := map[string]bool{}
	for _, s := range k.spaces {
		read[s.ref] = true
		for _, path := range s.unfinished {
			err = errors.Join(err, remove(path))
		}
		s.unfinished = nil
	}
	dirs, _ := os.ReadDir(k.etc) // none is as good as an empty one
	for _, d := range dirs {
		dir := filepath.Join(k.etc, d.Name())
		if read[d.Name()] {
			continue
		}
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			if k.isStale(dir, f.Name()) {
				err = errors.Join(err, remove(filepath.Join(dir, f.Name())))
			}
		}
	}
	return err
}

// remove removes a file, its folder if that is empty then, and that folder's.
func remove(path string) error {
	err := os.Remove(path)
	os.Remove(filepath.Dir(path))
	os.Remove(filepath.Dir(filepath.Dir(path)))
	return err
}

// isUnfinished tells of a file of the lab that was not written to its end.
func (k *Kernel) isUnfinished(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, "."+Mark(k.lab))
}

// readFiles reads the files for /etc that have the lab's mark.
func (k *Kernel) readFiles(v *spaceView) error {
	v.space.files, v.space.unfinished = nil, nil
	if v.space.ref == "" {
		return nil
	}
	dir := filepath.Join(k.etc, v.space.ref)
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
		if k.isUnfinished(e.Name()) {
			v.space.unfinished = append(v.space.unfinished, path)
			continue
		}
		text, ok, err := k.readFile(path, v.wanted.files[e.Name()])
		if err != nil {
			return err
		}
		if ok && !strings.HasPrefix(e.Name(), ".") {
			files[e.Name()] = text
		}
	}
	v.space.files = files
	return nil
}

// readFile reads a file; not ok means that it is not the lab's. Hosts have the same
// text, a thousand times: it is kept once, and if it is the one that is wanted, that is it.
func (k *Kernel) readFile(path, wanted string) (text string, ok bool, err error) {
	buffer, _ := k.buffers.Get().([]byte)
	b, err := readRegular(path, buffer)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
		return "", false, nil // ip-netns(8) allows whatever /etc has
	}
	if err != nil {
		return "", false, err
	}
	defer k.buffers.Put(b[:0]) //nolint:staticcheck // a slice's header is small beside its array
	b, ok = bytes.CutPrefix(b, []byte(fileMark(k.lab)))
	if !ok {
		return "", false, nil
	}
	if wanted == string(b) {
		return wanted, true, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.texts == nil {
		k.texts = map[string]string{}
	}
	if text, ok = k.texts[string(b)]; !ok {
		text = string(b)
		k.texts[text] = text
	}
	return text, true, nil
}

// isStale tells of the lab's files that are of no use: half written, or without a
// namespace.
func (k *Kernel) isStale(dir, name string) bool {
	if k.isUnfinished(name) {
		return true
	}
	_, err := os.Lstat(filepath.Join(nsfs.Dir, filepath.Base(dir)))
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	b, err := readRegular(filepath.Join(dir, name), nil)
	return err == nil && strings.HasPrefix(string(b), fileMark(k.lab))
}
