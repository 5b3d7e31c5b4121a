//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A cpio writes an archive in the "newc" format. The kernel unpacks it as its first
// root file system; see Documentation/driver-api/early-userspace/buffer-format.rst.
type cpio struct {
	w    *bufio.Writer
	seen map[string]bool
	ino  int
	err  error // the first error; later entries are not written
}

func newCPIO(f *os.File) *cpio {
	return &cpio{w: bufio.NewWriterSize(f, 1<<20), seen: map[string]bool{}}
}

// entry writes one file, and its parent folders if the archive does not have them.
func (c *cpio) entry(name string, mode uint32, data []byte) {
	name = strings.TrimPrefix(filepath.Clean(name), "/")
	if c.err != nil || name == "" || name == "." || c.seen[name] {
		return
	}
	c.entry(filepath.Dir(name), unix.S_IFDIR|0o755, nil)
	c.seen[name] = true
	c.record(name, mode, data)
}

func (c *cpio) record(name string, mode uint32, data []byte) {
	c.ino++
	// magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.padded(append([]byte(header), name+"\x00"...))
	c.padded(data)
}

// padded writes b and pads it to a multiple of four bytes.
func (c *cpio) padded(b []byte) {
	if _, err := c.w.Write(b); err != nil && c.err == nil {
		c.err = err
	}
	if _, err := c.w.Write(make([]byte, -len(b)&3)); err != nil && c.err == nil {
		c.err = err
	}
}

func (c *cpio) dir(name string, mode uint32)   { c.entry(name, unix.S_IFDIR|mode, nil) }
func (c *cpio) symlink(target, name string)    { c.entry(name, unix.S_IFLNK|0o777, []byte(target)) }
func (c *cpio) data(name string, data []byte)  { c.entry(name, unix.S_IFREG|0o644, data) }
func (c *cpio) file(source, name string) error { return c.copy(source, name, 0) }

// copy adds a file of this machine. Its permissions are those of the file, and perm.
func (c *cpio) copy(source, name string, perm fs.FileMode) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	c.entry(name, unix.S_IFREG|uint32(info.Mode().Perm()|perm), data)
	return nil
}

// tree adds a folder with all files in it, except files and folders for which skip
// returns true.
func (c *cpio) tree(source, name string, skip func(rel string, d fs.DirEntry) bool) error {
	return filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		to := filepath.Join(name, rel)
		switch {
		case rel != "." && skip(rel, d) && d.IsDir():
			return fs.SkipDir
		case rel != "." && skip(rel, d):
			return nil
		case d.IsDir():
			c.dir(to, 0o755)
			return nil
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			c.symlink(target, to)
			return err
		case d.Type().IsRegular():
			return c.file(path, to)
		}
		return nil
	})
}

// close writes the end of the archive.
func (c *cpio) close() error {
	c.record("TRAILER!!!", 0, nil)
	if err := c.w.Flush(); err != nil && c.err == nil {
		c.err = err
	}
	return c.err
}
