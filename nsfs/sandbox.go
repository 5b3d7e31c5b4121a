package nsfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// sandboxEnv is an environment variable of the process that [Sandbox] starts. It is no
// proof, because every program can set it: the descriptors outsideNet and outsideMounts
// may be open, or not; see inSandbox.
const sandboxEnv = "VNET_SANDBOX"

// The process that [Sandbox] starts gets the namespaces of its parent as these descriptors.
const (
	outsideNet    = 3
	outsideMounts = 4
)

// Sandbox runs the program again, with the same arguments, in a new network
// namespace and a new mount namespace, and calls run there. It returns run's
// result. If it cannot create the sandbox, it prints the error on standard error
// and returns 1. Inside, the caller is root over its own network, and /run and
// /etc/netns are empty. No change to links, mounts or nftables reaches the machine;
// all changes end with the process. Processes that are left in the sandbox are
// killed. A user other than root also gets a user namespace; see user_namespaces(7).
//
// It is meant for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }
func Sandbox(run func() int) int {
	if !inSandbox() {
		return reexec()
	}
	unix.Close(outsideNet)
	unix.Close(outsideMounts)
	os.Unsetenv(sandboxEnv) // a sandbox inside this one must be a new one
	if err := prepareMounts(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 1
	}
	return run()
}

// inSandbox reports whether this process is in a new network and mount namespace that
// [Sandbox] created. The environment variable alone is no proof: if it is set on the
// machine itself, Sandbox must not mount an empty /run there. So this process must also
// have open descriptors of other namespaces than its own, and lo must be down, as in a
// new namespace.
func inSandbox() bool {
	if os.Getenv(sandboxEnv) == "" {
		return false
	}
	return isOutside(outsideNet, "net") && isOutside(outsideMounts, "mnt") && loIsDown()
}

// isOutside reports whether a descriptor is a namespace of a type, such as net, and not
// the one of this process.
func isOutside(fd int, typ string) bool {
	here, err := os.Readlink("/proc/self/ns/" + typ)
	outside, outsideErr := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return err == nil && outsideErr == nil && strings.HasPrefix(outside, typ+":[") && outside != here
}

// loIsDown reports whether the link lo is down.
func loIsDown() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil || unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo) != nil {
		return false
	}
	return lo.Uint16()&unix.IFF_UP == 0
}

// reexec starts the program again in new namespaces and waits for it.
func reexec() int {
	// Keep this thread: if the thread that started the child ends, Pdeathsig kills the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), sandboxEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	for _, typ := range []string{"net", "mnt"} { // outsideNet, outsideMounts
		f, err := os.Open("/proc/thread-self/ns/" + typ)
		if err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
			return 1
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := runAndKillRest(cmd)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, "sandbox:", exit)
		return 1
	}
	fmt.Fprintln(os.Stderr, "sandbox:", explainRefusal(err))
	return 1
}

// prepareMounts mounts an empty /run, an empty /etc/netns, and a /sys that shows
// the new network namespace, if the kernel allows it.
func prepareMounts() error {
	if err := unix.Mount("", "/", "none", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "make private mount", Path: "/", Err: err}
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return &fs.PathError{Op: "mount tmpfs", Path: "/run", Err: err}
	}
	if err := prepareEtcNetns(); err != nil {
		return err
	}
	return mountSys("sandbox")
}

// prepareEtcNetns mounts an empty /etc/netns. If the machine has no /etc/netns, only
// root could create the directory. In this case the function also mounts a new /etc,
// whose entries are symbolic links to those of the machine's /etc.
func prepareEtcNetns() error {
	err := unix.Mount("tmpfs", EtcDir, "tmpfs", 0, "mode=0755")
	if err != unix.ENOENT {
		return os.NewSyscallError("mount tmpfs on "+EtcDir, err)
	}
	// The new /etc is built elsewhere and moved at the end: the bind mount below must
	// contain the machine's /etc, not the new one.
	const tmp, inside = "/run/.etc", ".machine"
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", tmp, "tmpfs", 0, "mode=0755"); err != nil {
		return &fs.PathError{Op: "mount tmpfs", Path: tmp, Err: err}
	}
	machine, netns := filepath.Join(tmp, inside), filepath.Join(tmp, filepath.Base(EtcDir))
	if err := errors.Join(os.Mkdir(machine, 0o755), os.Mkdir(netns, 0o755)); err != nil {
		return err
	}
	if err := unix.Mount("/etc", machine, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "bind the machine's /etc on", Path: machine, Err: err}
	}
	entries, err := os.ReadDir("/etc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == inside {
			continue // made by an outer sandbox, whose links point to it
		}
		if err := os.Symlink(filepath.Join(inside, e.Name()), filepath.Join(tmp, e.Name())); err != nil {
			return err
		}
	}
	if err := unix.Mount(tmp, "/etc", "none", unix.MS_MOVE, ""); err != nil {
		return &fs.PathError{Op: "move to /etc", Path: tmp, Err: err}
	}
	return os.Remove(tmp)
}
