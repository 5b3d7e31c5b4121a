package hostfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// Files reads and writes the files of a lab for its hosts' /etc.
type Files struct {
	table   *netns.Table
	buffers sync.Pool // of []byte
	mu      sync.Mutex
	texts   map[string]string // texts that were read, so that equal texts are kept once
}

// Calls are the functions that change files.
type Calls struct {
	Write, Overwrite func(path string, text []byte) error
	Remove           func(path string) error
}

// RealCalls change real files.
var RealCalls = Calls{Write: writeFile, Overwrite: overwriteFile, Remove: os.Remove}

// New returns the files of a lab.
func New(t *netns.Table) *Files { return &Files{table: t} }

// Do executes a step: it writes or removes a file. It writes a new file under a temporary name and renames
// it, so that no program reads half a file. It overwrites an existing file in place: ip-netns(8) bind-mounts
// the file for the programs of the host, and they would not see a new file of that name.
func (l *Files) Do(calls *Calls, step topo.Step) error {
	f := step.Object().(topo.File)
	h, err := l.table.Handle(f.NS)
	if err != nil {
		return err
	}
	if h.Ref == "" {
		return fmt.Errorf("netns %s has no name, so it has no directory in %s", h.Name, l.table.Etc)
	}
	dir := filepath.Join(l.table.Etc, h.Ref)
	path := filepath.Join(dir, f.Name)
	if step.Op() == topo.Delete {
		err := calls.Remove(path)
		RemoveDir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			h.ForgetFile(f.Name)
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
	h.NoteFile(f.Name, f.Content)
	return nil
}

// write writes a file of the lab. If it cannot overwrite an existing one, it restores its content.
func (l *Files) write(calls *Calls, path, content, was string, exists bool) (err error) {
	buffer, _ := l.buffers.Get().([]byte)
	text := append(append(buffer[:0], mark.FileMark(l.table.Lab)...), content...)
	defer l.buffers.Put(text[:0]) //nolint:staticcheck // allocating a slice header is cheap compared with the array
	if exists {
		err = calls.Overwrite(path, text)
		if !errors.Is(err, errForeignFile) {
			if err != nil {
				err = errors.Join(err, calls.Overwrite(path, append([]byte(mark.FileMark(l.table.Lab)), was...)))
			}
			return err
		}
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+mark.Of(l.table.Lab))
	if err = calls.Write(temp, text); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = Remove(temp) // report the first error
	}
	return err
}

// prepareDir creates the directory for a file. For Create, it fails if a foreign file
// has the name, or if the directory is a symbolic link or no directory.
func (l *Files) prepareDir(h *netns.Handle, dir, path string, op topo.Op) error {
	err := makeDir(dir)
	if !errors.Is(err, fs.ErrExist) {
		return err // a new directory is empty
	}
	if op != topo.Create {
		return nil
	}
	if !isDir(dir) {
		return &fs.PathError{Op: "create", Path: dir, Err: unix.ENOTDIR}
	}
	b, err := ReadRegular(path, nil)
	if errors.Is(err, errNotRegular) || err == nil && !l.mayReplace(h, string(b)) {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return nil
}

// mayReplace reports whether the lab may replace an existing file that has this text: the file
// belongs to this lab, or to another lab that has no namespace of this name, as after a reboot.
func (l *Files) mayReplace(h *netns.Handle, text string) bool {
	return strings.HasPrefix(text, mark.FileMark(l.table.Lab)) || h.Own && strings.HasPrefix(text, "# "+mark.Of(""))
}

// isUnfinished reports whether a file is a temporary file of the lab that is only partly written.
func (l *Files) isUnfinished(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, "."+mark.Of(l.table.Lab))
}

// Read reads the files of a namespace that have the lab's mark, and notes them in the handle. wanted are the
// texts that they may have. It returns the paths of partly written files.
func (l *Files) Read(h *netns.Handle, wanted map[string]string) (unfinished []string, err error) {
	h.Files = nil
	if h.Ref == "" {
		return nil, nil
	}
	dir := filepath.Join(l.table.Etc, h.Ref)
	names, err := readDir(dir)
	if len(names) == 0 || err != nil {
		return nil, err
	}
	files := make(map[string]string, len(names))
	for _, name := range names {
		path := filepath.Join(dir, name)
		if l.isUnfinished(name) {
			unfinished = append(unfinished, path)
			continue
		}
		text, ok, err := l.readFile(path, wanted[name])
		if err != nil {
			return nil, err
		}
		if ok && !strings.HasPrefix(name, ".") {
			files[name] = text
		}
	}
	h.Files = files
	return unfinished, nil
}

// readFile reads a file; ok is false if it is not the lab's. If the text equals
// the wanted or a cached string, it returns that string: a thousand hosts may share one text.
func (l *Files) readFile(path, wanted string) (text string, ok bool, err error) {
	buffer, _ := l.buffers.Get().([]byte)
	b, err := ReadRegular(path, buffer)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
		return "", false, nil // ip-netns(8) allows any file that /etc may have
	}
	if err != nil {
		return "", false, err
	}
	defer l.buffers.Put(b[:0]) //nolint:staticcheck // allocating a slice header is cheap compared with the array
	b, ok = bytes.CutPrefix(b, []byte(mark.FileMark(l.table.Lab)))
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

// IsStale reports whether a file is a partly written one of the lab, or has the lab's mark.
func (l *Files) IsStale(path string) (bool, error) {
	if l.isUnfinished(filepath.Base(path)) {
		return true, nil
	}
	lab, err := LabOf(path)
	return lab == l.table.Lab, err
}

// LabOf returns the lab whose mark a file has; "" if it has none, does not exist, or is not a regular file.
func LabOf(path string) (string, error) {
	b, err := ReadRegular(path, nil)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
		return "", nil
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if lab, ok := strings.CutPrefix(first, "# "+mark.Of("")); ok {
		return lab, err
	}
	return "", err
}
