package nsfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// EtcDir holds, per namespace, files that stand in for those of /etc inside;
// see ip-netns(8).
const EtcDir = "/etc/netns"

// Exec replaces the process by a program that runs inside the namespace called
// name: same pid, and signals reach it. /sys shows that namespace, and each file
// of /etc/netns/NAME stands in for the one of that name in /etc, if there is one.
// On success it does not return.
func Exec(name string, argv, env []string) error {
	ns, err := Open(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThread(func() error {
		if err := furnishFor(ns, name); err != nil {
			return err
		}
		path, err := exec.LookPath(argv[0]) // inside, as execvp(3) would
		if err != nil {
			return err
		}
		return &fs.PathError{Op: "exec", Path: path, Err: unix.Exec(path, argv, env)}
	})
}

// Run runs a program as [Exec] does, but beside this process, and waits for it.
// The error is that of [exec.Cmd.Run].
func Run(name string, cmd *exec.Cmd) error {
	ns, err := Open(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThread(func() error {
		if err := furnishFor(ns, name); err != nil {
			return err
		}
		// A child begins where the thread is that starts it.
		if cmd.Path, cmd.Err = exec.LookPath(cmd.Args[0]); cmd.Err != nil {
			return cmd.Err
		}
		return cmd.Run()
	})
}

// furnishFor moves the calling thread, which its caller throws away, into the
// namespace ns called name, with a view of the file system to go with it.
func furnishFor(ns *os.File, name string) error {
	if err := enter(ns); err != nil {
		return err
	}
	return privateMounts(name)
}

// privateMounts gives the calling thread its own view of the file system for
// the namespace called name.
func privateMounts(name string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("create mount namespace: %w", err)
	}
	// Slave: what is mounted inside stays inside, what the machine mounts is seen.
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "make slave mount", Path: "/", Err: err}
	}
	if err := remountSys(name); err != nil {
		return err
	}
	return bindEtc(name)
}

// remountSys shows the namespace's own links in /sys/class/net. A user namespace
// may be refused that, if it does not own the network namespace or sees only a
// part of /sys; then /sys stays as it is, which harms nobody who does not look.
func remountSys(name string) error {
	var flags uintptr
	var st unix.Statfs_t
	if unix.Statfs("/sys", &st) == nil && st.Flags&unix.ST_RDONLY != 0 {
		flags = unix.MS_RDONLY
	}
	err := unix.Mount(name, "/sys", "sysfs", flags, "")
	if err == unix.EBUSY { // it shows that very namespace
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) && err != unix.ENOENT {
		return &fs.PathError{Op: "mount sysfs", Path: "/sys", Err: err}
	}
	return nil
}

func bindEtc(name string) error {
	dir := filepath.Join(EtcDir, name)
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) { // as ip-netns(8)
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		from, to := filepath.Join(dir, f.Name()), filepath.Join("/etc", f.Name())
		err := unix.Mount(from, to, "none", unix.MS_BIND, "")
		if err != nil && err != unix.ENOENT { // nothing in /etc to stand in for
			return &fs.PathError{Op: "bind " + from + " on", Path: to, Err: err}
		}
	}
	return nil
}
