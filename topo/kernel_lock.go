//go:build linux

package topo

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir holds a file for each lab that somebody works on, and one for what all labs of
// a machine share. Nothing is written in them.
const lockDir = "/run/vnet"

// lockLab keeps two runs on one lab apart.
func lockLab(ctx context.Context, lab string) (*os.File, error) {
	f, err := lockFile(ctx, lab+".lock")
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("lab %s: somebody else is at work on it: %w", lab, err)
	}
	return f, err
}

// lockSettings keeps those apart who read what a setting is, remember it and write it.
// It is held for moments. No lab's name begins with a dot.
func lockSettings() (*os.File, error) { return lockFile(context.Background(), ".settings.lock") }

// lockFile waits for a lock, which the kernel takes back when its holder ends.
func lockFile(ctx context.Context, name string) (*os.File, error) {
	if err := os.MkdirAll(lockDir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(lockDir, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		for err == unix.EINTR {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		locked <- err
	}()
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
