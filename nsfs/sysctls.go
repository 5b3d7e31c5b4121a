package nsfs

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// SetSysctls writes several sysctls of one directory in the namespace that the thread is in; see
// [SetSysctl]. dir is a path below /proc/sys, such as net/ipv6/conf/eth0. A setting is NAME=VALUE;
// NAME may contain slashes. SetSysctls skips sysctls that the kernel does not have.
//
// It is faster than SetSysctl if a thread enters many namespaces.
func (t Thread) SetSysctls(dir string, settings ...string) error {
	if _, err := sysctlPath(dir); err != nil {
		return err
	}
	at, place, err := t.proc.sys(), dir, error(nil)
	if len(settings) > 1 {
		if at, err = unix.Openat(at, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			defer unix.Close(at)
		}
		place = ""
	}
	for _, set := range settings {
		name, value, _ := strings.Cut(set, "=")
		if err != nil || writeAt(at, path.Join(place, name), value) != nil {
			err := SetSysctl(path.Join(dir, name), value) // its error names the sysctl
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func writeAt(dir int, name, value string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(value))
	return errors.Join(err, unix.Close(fd))
}

// A procMount opens directories of /proc/sys. A proc file system has an entry net/ipv6 for each
// network namespace that was used in it, and the kernel searches for the right one among all. So a
// procMount mounts a proc file system of its own, which has no such entries yet, and after each
// procUses uses another one. A mount costs as much as the search among about 50 namespaces.
type procMount struct {
	dir   int  // descriptor of its directory sys; -1 before the first use
	uses  int  // of dir
	fails bool // the last attempt to mount failed
}

const procUses = 64

// sys returns a descriptor of /proc/sys.
func (p *procMount) sys() int {
	p.uses++
	if !p.fails && (p.dir < 0 || p.uses > procUses) {
		p.renew()
	}
	if p.dir < 0 {
		p.dir, _ = unix.Open("/proc/sys", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	return p.dir
}

// renew replaces the proc file system by a new one. This needs the right to mount in the user
// namespace of the PID namespace; without it, the old one stays in use.
func (p *procMount) renew() {
	fd, err := mountProc()
	if p.fails = err != nil; p.fails {
		return
	}
	p.close()
	p.dir, p.uses = fd, 1
}

// mountProc mounts a proc file system that has no place in the file tree. It returns a descriptor
// of its directory sys.
func mountProc() (int, error) {
	config, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(config)
	if err := unix.FsconfigCreate(config); err != nil {
		return -1, err
	}
	const flags = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	root, err := unix.Fsmount(config, unix.FSMOUNT_CLOEXEC, flags)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	return unix.Openat(root, "sys", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

func (p *procMount) close() {
	if p.dir >= 0 {
		unix.Close(p.dir)
		p.dir = -1
	}
}
