package nsfs

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Event is a name that was created in or removed from [Dir].
type Event struct {
	Name string
	// Removed means that the name was removed; otherwise it was created. The
	// namespace of a new name may not be mounted yet.
	Removed bool
	// Lost means that the kernel dropped events because its queue was full
	// (fs.inotify.max_queued_events). Name is empty. Call [Names] or [List] again.
	Lost bool
}

// Watcher reports names that are created and removed; see inotify(7).
type Watcher struct {
	f    *os.File
	rest []byte
}

// Watch starts to watch [Dir]. It creates the directory if needed.
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

// Next waits for the next event. After Close it returns os.ErrClosed.
func (w *Watcher) Next() (Event, error) {
	for {
		for len(w.rest) >= unix.SizeofInotifyEvent {
			mask := binary.NativeEndian.Uint32(w.rest[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(w.rest[12:]))
			name, _, _ := bytes.Cut(w.rest[unix.SizeofInotifyEvent:end], []byte{0})
			w.rest = w.rest[end:]
			if mask&unix.IN_Q_OVERFLOW != 0 {
				return Event{Lost: true}, nil
			}
			if mask&(unix.IN_CREATE|unix.IN_DELETE) != 0 {
				return Event{Name: string(name), Removed: mask&unix.IN_DELETE != 0}, nil
			}
		}
		buf := make([]byte, 4096) // the kernel writes whole events
		n, err := w.f.Read(buf)
		if err != nil {
			return Event{}, err
		}
		w.rest = buf[:n]
	}
}

// Close ends the watch. A waiting Next returns.
func (w *Watcher) Close() error { return w.f.Close() }
