package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// lockDir holds the lock files: one per lab that a process works on, and one for the
// machine's sysctls, which all labs share. The files are empty.
const lockDir = "/run/vnet"

// LockLab locks a lab, so that only one process works on it. It logs a warning if it waits.
func LockLab(ctx context.Context, lab string, log *slog.Logger) (*Lock, error) {
	f, err := lockFile(ctx, lab+".lock", func() {
		log.Warn("lab " + lab + ": another vnet process is working on it; waiting")
	})
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("lab %s: another vnet process is working on it: %w", lab, err)
	}
	return f, err
}

// LockSysctls locks the steps that read a sysctl, record its value and write it, for all
// labs. It is held only briefly. No lab's name begins with a dot.
func LockSysctls() (*Lock, error) {
	return lockFile(context.Background(), ".settings.lock", func() {})
}

// LockName locks what the members of a network share, or one member of it. It waits until another process has released
// the lock, or ctx is done.
func LockName(ctx context.Context, name string) (*Lock, error) {
	return lockFile(ctx, name+".lock", func() {})
}

// A Lock is a locked file, which is removed when the lock is released.
type Lock struct{ *os.File }

// Close removes the file and releases the lock. A process that waited for it sees in lockFile
// that its file no longer has the name, and tries again.
func (l *Lock) Close() error {
	os.Remove(l.Name())
	_ = unix.Rmdir(lockDir) // fails while there are other locks
	return l.File.Close()
}

// lockFile waits for a lock. The kernel releases the lock when the process ends. lockFile
// calls onWait before it waits.
func lockFile(ctx context.Context, name string, onWait func()) (*Lock, error) {
	for {
		// Another process may remove the directory at any time, with its lock.
		f, err := nsfs.OpenPrivate(lockDir, name)
		if errors.Is(err, fs.ErrNotExist) && isMissingOrDir(lockDir) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := lockOpenFile(ctx, f, onWait); err != nil {
			return nil, err
		}
		if isSameFile(f.Name(), f) {
			return &Lock{f}, nil
		}
		f.Close()
		onWait = func() {} // call it only once
	}
}

// isMissingOrDir reports whether path does not exist or is a directory.
func isMissingOrDir(path string) bool {
	info, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir()
}

// isSameFile reports whether path still is the file f.
func isSameFile(path string, f *os.File) bool {
	named, err := os.Lstat(path)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(open, named)
}

// lockOpenFile waits for the lock of a file. It closes the file if there is an error.
func lockOpenFile(ctx context.Context, f *os.File, onWait func()) error {
	locked := make(chan error, 1)
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		onWait()
		go func() { locked <- flock(f, unix.LOCK_EX) }()
	} else {
		locked <- err
	}
	select {
	case err = <-locked:
	case <-ctx.Done():
		// The goroutine still waits. If it gets the lock, closing the file releases it.
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
