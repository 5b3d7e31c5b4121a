package nsfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// EtcDir has a directory per namespace. Its files replace those of /etc inside the
// namespace; see ip-netns(8).
const EtcDir = "/etc/netns"

// Exec replaces the process by a program that runs inside the namespace called
// name. The process ID stays the same, so signals reach the program. /sys shows
// that namespace. Each file of /etc/netns/NAME is in /etc and replaces the file of
// that name. On success Exec does not return. If the name does not exist, the error is
// fs.ErrNotExist; if the program cannot be found, an *[exec.Error].
func Exec(name string, argv, env []string) error {
	ns, err := Open(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThread(func() error {
		if err := enterWithMounts(ns, name); err != nil {
			return err
		}
		path, err := exec.LookPath(argv[0]) // inside the namespace, like execvp(3)
		if err != nil {
			return err
		}
		return &fs.PathError{Op: "exec", Path: path, Err: unix.Exec(path, argv, env)}
	})
}

// Run runs a program like [Exec], but as a child process, and waits for it. It
// returns the error of [exec.Cmd.Run].
func Run(name string, cmd *exec.Cmd) error {
	ns, err := Open(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThread(func() error {
		if err := enterWithMounts(ns, name); err != nil {
			return err
		}
		// A child inherits the namespaces of the thread that starts it.
		if cmd.Path, cmd.Err = exec.LookPath(cmd.Args[0]); cmd.Err != nil {
			return cmd.Err
		}
		return cmd.Run()
	})
}

// enterWithMounts moves the calling thread into the namespace ns, and into a mount
// namespace for the name. The caller must end the thread.
func enterWithMounts(ns *os.File, name string) error {
	if err := enter(ns); err != nil {
		return err
	}
	return unshareMounts(name)
}

// unshareMounts moves the calling thread into a new mount namespace in which /sys
// and /etc are those of the namespace called name.
func unshareMounts(name string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("create mount namespace: %w", err)
	}
	// Slave: mounts made inside stay inside; mounts that the machine makes appear here too.
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "make slave mount", Path: "/", Err: err}
	}
	if err := mountSys(name); err != nil {
		return err
	}
	return bindEtc(name)
}

// mountSys mounts a sysfs that shows the links of the namespace in /sys/class/net.
// The kernel refuses this in a user namespace that does not own the network
// namespace or in which a part of /sys is hidden. Then /sys stays unchanged. File systems that are
// mounted on sysDirs stay mounted.
func mountSys(name string) error {
	var flags uintptr
	var st unix.Statfs_t
	if unix.Statfs("/sys", &st) == nil && st.Flags&unix.ST_RDONLY != 0 {
		flags = unix.MS_RDONLY
	}
	restore := keepMounts(sysDirs)
	defer restore()
	err := unix.Mount(name, "/sys", "sysfs", flags, "")
	if err == unix.EBUSY { // /sys shows this namespace already
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) && err != unix.ENOENT {
		return &fs.PathError{Op: "mount sysfs", Path: "/sys", Err: err}
	}
	return nil
}

// sysDirs are the directories of sysfs on which systems mount other file systems.
var sysDirs = []string{
	"/sys/fs/cgroup", "/sys/fs/bpf", "/sys/fs/selinux", "/sys/fs/fuse/connections",
	"/sys/kernel/config", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing",
}

// keepMounts copies the mounts on the directories. restore mounts a copy where nothing is mounted any more. It leaves
// out mounts that the kernel does not let it copy.
func keepMounts(dirs []string) (restore func()) {
	trees := map[string]int{}
	for _, dir := range dirs {
		if isSysfs(dir) {
			continue
		}
		const flags = unix.OPEN_TREE_CLONE | unix.AT_RECURSIVE | unix.OPEN_TREE_CLOEXEC
		if tree, err := unix.OpenTree(unix.AT_FDCWD, dir, flags); err == nil {
			trees[dir] = tree
		}
	}
	return func() {
		for dir, tree := range trees {
			if isSysfs(dir) {
				_ = unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
			}
			unix.Close(tree)
		}
	}
}

// isSysfs reports whether a directory is a part of sysfs, so that nothing is mounted on it.
func isSysfs(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.SYSFS_MAGIC
}
