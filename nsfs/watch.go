package nsfs

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Event is a name that came or went in [Dir].
type Event struct {
	Name string
	// Gone says that the name was removed; else it was made. A new name may have
	// no namespace behind it yet.
	Gone bool
	// Lost says that events were dropped, for there were more than the kernel keeps
	// (fs.inotify.max_queued_events). Name is empty; list again what is there.
	Lost bool
}

// Watcher tells of names as they come and go; see inotify(7).
type Watcher struct {
	f    *os.File
	left []byte
}

// Watch begins to watch [Dir], which it makes if it is not there.
func Watch() (*Watcher, error) {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, Dir, unix.IN_CREATE|unix.IN_DELETE); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "watch", Path: Dir, Err: err}
	}
	return &Watcher{f: f}, nil
}

// Next waits for the next event. After Close it is os.ErrClosed.
func (w *Watcher) Next() (Event, error) {
	for {
		for len(w.left) >= unix.SizeofInotifyEvent {
			mask := binary.NativeEndian.Uint32(w.left[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(w.left[12:]))
			name, _, _ := bytes.Cut(w.left[unix.SizeofInotifyEvent:end], []byte{0})
			w.left = w.left[end:]
			if mask&unix.IN_Q_OVERFLOW != 0 {
				return Event{Lost: true}, nil
			}
			if mask&(unix.IN_CREATE|unix.IN_DELETE) != 0 {
				return Event{Name: string(name), Gone: mask&unix.IN_DELETE != 0}, nil
			}
		}
		buf := make([]byte, 4096) // the kernel writes whole events
		n, err := w.f.Read(buf)
		if err != nil {
			return Event{}, err
		}
		w.left = buf[:n]
	}
}

// Close ends the watch, and a Next that waits.
func (w *Watcher) Close() error { return w.f.Close() }
