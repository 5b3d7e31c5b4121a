//go:build linux

package topo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir holds a file for each lab that somebody works on, and one for what all labs of
// a machine share, as long as that takes. Nothing is written in them.
const lockDir = "/run/vnet"

// lockLab keeps two runs on one lab apart. The log is told that it waits.
func lockLab(ctx context.Context, lab string, log *slog.Logger) (*lock, error) {
	f, err := lockFile(ctx, lab+".lock", func() { log.Warn("lab " + lab + ": somebody else is at work on it; waiting") })
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("lab %s: somebody else is at work on it: %w", lab, err)
	}
	return f, err
}

// lockSettings keeps those apart who read what a setting is, remember it and write it.
// It is held for moments. No lab's name begins with a dot.
func lockSettings() (*lock, error) {
	return lockFile(context.Background(), ".settings.lock", func() {})
}

// A lock is a file that is locked, and goes with its lock.
type lock struct{ *os.File }

// Close gives the lock up. The file goes before: whoever waited for it finds out, in
// lockFile, that it is no longer the one of that name.
func (l *lock) Close() error {
	os.Remove(l.Name())
	os.Remove(lockDir) // as long as there is another lock in it, it stays
	return l.File.Close()
}

// lockFile waits for a lock, which the kernel takes back when its holder ends. It calls
// taken before it waits.
func lockFile(ctx context.Context, name string, taken func()) (*lock, error) {
	for {
		// It exists, and is not there a moment later: the folder goes with another's lock.
		if err := os.MkdirAll(lockDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err := os.OpenFile(filepath.Join(lockDir, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, fs.ErrNotExist) && mayBeFolder(lockDir) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := lockIt(ctx, f, taken); err != nil {
			return nil, err
		}
		if isAt(f.Name(), f) {
			return &lock{f}, nil
		}
		f.Close()
		taken = func() {} // it is said already
	}
}

// mayBeFolder tells whether there is a folder of that name, or could be one: nothing is there.
func mayBeFolder(path string) bool {
	info, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir()
}

// isAt tells whether a file is the one of that name.
func isAt(path string, f *os.File) bool {
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	here, err := f.Stat()
	return err == nil && os.SameFile(here, there)
}

// lockIt waits for the lock of a file, which it closes if there is an error.
func lockIt(ctx context.Context, f *os.File, taken func()) error {
	locked := make(chan error, 1)
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		taken()
		go func() { locked <- flock(f, unix.LOCK_EX) }()
	} else {
		locked <- err
	}
	select {
	case err = <-locked:
	case <-ctx.Done():
		// The goroutine goes on waiting; the lock it gets ends with the file.
		go func() { <-locked; f.Close() }()
		return ctx.Err()
	}
	if err != nil {
		f.Close()
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

func flock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how)
	for err == unix.EINTR {
		err = unix.Flock(int(f.Fd()), how)
	}
	return err
}
