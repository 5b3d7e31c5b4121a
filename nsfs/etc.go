package nsfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bindEtc shows the files of /etc/netns/NAME in /etc, in the mount namespace of the calling thread.
// It mounts each on the file of that name, or on the symbolic link, whose target need not exist. If
// /etc does not have one of the names, /etc becomes a private directory.
func bindEtc(name string) error {
	dir := filepath.Join(EtcDir, name)
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) { // like ip-netns(8)
		return nil
	}
	if err != nil {
		return err
	}
	absent := map[string]string{} // names in /etc, and paths below it
	for _, f := range files {
		from, to := filepath.Join(dir, f.Name()), filepath.Join("/etc", f.Name())
		err := bindFile(from, to)
		if _, there := os.Lstat(to); errors.Is(there, fs.ErrNotExist) {
			absent[f.Name()] = filepath.Join("netns", name, f.Name())
		} else if err != nil && err != unix.ENOENT {
			return &fs.PathError{Op: "bind " + from + " on", Path: to, Err: err}
		}
	}
	if len(absent) == 0 {
		return nil
	}
	if err := privateEtc(absent); err != nil {
		return &fs.PathError{Op: "make private", Path: "/etc", Err: err}
	}
	return nil
}

// bindFile mounts a file on another one, or on a symbolic link. With a mount on the link's target,
// a program would see the machine's file again when another program replaces the target, as
// systemd-resolved does.
func bindFile(from, to string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		defer unix.Close(tree)
		err = unix.MoveMount(tree, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err != nil { // a directory for a symbolic link, or a seccomp filter
		err = unix.Mount(from, to, "none", unix.MS_BIND, "")
	}
	return err
}

// machineEtc is where the machine's /etc is inside a private one.
const machineEtc = "/etc/.machine"

// privateEtc mounts a new directory on /etc. It has the machine's directories, symbolic links to its
// files, copies of its symbolic links, and the files in more: their paths below the machine's /etc, by
// their names. A file that the machine adds to /etc later is in machineEtc only.
func privateEtc(more map[string]string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/etc", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := unix.Mount("tmpfs", "/etc", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	if err := os.Mkdir(machineEtc, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, machineEtc, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	entries, err := os.ReadDir(machineEtc)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == filepath.Base(machineEtc) {
			continue // made by a sandbox around this one; links of the machine's /etc lead to it, and still do
		}
		if err := showMachineFile(e); err != nil {
			return err
		}
	}
	for name, path := range more {
		if err := showOwnFile(filepath.Join(machineEtc, path), filepath.Join("/etc", name)); err != nil {
			return err
		}
	}
	return nil
}

// showOwnFile mounts a file, or links to a directory.
func showOwnFile(from, to string) error {
	if st, err := os.Stat(from); err == nil && st.IsDir() {
		return os.Symlink(from, to)
	}
	if err := os.WriteFile(to, nil, 0o644); err != nil {
		return err
	}
	return unix.Mount(from, to, "none", unix.MS_BIND, "")
}

// showMachineFile makes an entry of machineEtc visible in /etc. Relative symbolic links keep their
// meaning, also those in directories.
func showMachineFile(e fs.DirEntry) error {
	from, to := filepath.Join(machineEtc, e.Name()), filepath.Join("/etc", e.Name())
	if e.IsDir() {
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		return unix.Mount(from, to, "none", unix.MS_BIND|unix.MS_REC, "")
	}
	target := filepath.Join(filepath.Base(machineEtc), e.Name())
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		if target, err = os.Readlink(from); err != nil {
			return err
		}
	}
	return os.Symlink(target, to)
}
