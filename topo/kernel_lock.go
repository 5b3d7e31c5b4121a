//go:build linux

package topo

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir holds a file for each lab that somebody works on, and one for what all labs of
// a machine share. Nothing is written in them.
const lockDir = "/run/vnet"

// lockLab keeps two runs on one lab apart. The log is told that it waits.
func lockLab(ctx context.Context, lab string, log *slog.Logger) (*os.File, error) {
	f, err := lockFile(ctx, lab+".lock", func() { log.Warn("lab " + lab + ": somebody else is at work on it; waiting") })
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("lab %s: somebody else is at work on it: %w", lab, err)
	}
	return f, err
}

// lockSettings keeps those apart who read what a setting is, remember it and write it.
// It is held for moments. No lab's name begins with a dot.
func lockSettings() (*os.File, error) {
	return lockFile(context.Background(), ".settings.lock", func() {})
}

// lockFile waits for a lock, which the kernel takes back when its holder ends. It calls
// taken before it waits.
func lockFile(ctx context.Context, name string, taken func()) (*os.File, error) {
	if err := os.MkdirAll(lockDir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(lockDir, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	if err = flock(f, unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
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
		return nil, ctx.Err()
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how)
	for err == unix.EINTR {
		err = unix.Flock(int(f.Fd()), how)
	}
	return err
}
