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

// sandboxed marks the environment of the process that [Sandbox] starts. Its value
// names the namespaces outside: a process that is still in them, and only has the
// variable, must not furnish them.
const sandboxed = "VNET_SANDBOX"

// Sandbox runs the program again, with the same arguments, in a network and a
// mount namespace of its own, and there calls run. It returns run's result, or 1
// if no sandbox can be made, having said why on standard error. Inside, the
// caller is root over its own network, /run and /etc/netns are empty, and nothing it does to
// links, mounts or nftables reaches the machine; all of it ends with the
// process. Who is not root gets a user namespace too: see user_namespaces(7).
//
// It is made for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }
func Sandbox(run func() int) int {
	if !inSandbox() {
		return reexec()
	}
	os.Unsetenv(sandboxed) // a sandbox in the sandbox is a new one
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 1
	}
	return run()
}

// inSandbox tells whether this process is in other namespaces than the one that says,
// in the environment, to have started it.
func inSandbox() bool {
	outside := strings.Fields(os.Getenv(sandboxed))
	here := strings.Fields(namespaces())
	return len(outside) == 2 && len(here) == 2 && outside[0] != here[0] && outside[1] != here[1]
}

// namespaces identifies the process's network and mount namespace.
func namespaces() string {
	network, _ := os.Readlink("/proc/self/ns/net")
	mounts, _ := os.Readlink("/proc/self/ns/mnt")
	return network + " " + mounts
}

// reexec starts the program again in fresh namespaces and waits for it.
func reexec() int {
	// The child is to die with this process; the kernel ties that to the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), sandboxed+"="+namespaces())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
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
	fmt.Fprintln(os.Stderr, "sandbox:", fmt.Errorf("create namespaces: %w", err))
	return 1
}

// furnish gives the fresh mount namespace what a machine has: an empty /run, an
// empty /etc/netns, and a /sys that shows the new network, where that is allowed.
func furnish() error {
	if err := unix.Mount("", "/", "none", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "make private mount", Path: "/", Err: err}
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return &fs.PathError{Op: "mount tmpfs", Path: "/run", Err: err}
	}
	if err := furnishEtc(); err != nil {
		return err
	}
	return remountSys("sandbox")
}

// furnishEtc makes an /etc/netns of the sandbox's own. Where the machine has none,
// only root could make the folder: then /etc becomes one of the sandbox's own, too,
// whose entries point to the machine's.
func furnishEtc() error {
	err := unix.Mount("tmpfs", EtcDir, "tmpfs", 0, "mode=0755")
	if err != unix.ENOENT {
		return os.NewSyscallError("mount tmpfs on "+EtcDir, err)
	}
	// Put together aside, and moved to its place when it is whole: what is bound
	// would bring along what had been mounted on it before.
	const aside, inside = "/run/.etc", ".machine"
	if err := os.Mkdir(aside, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", aside, "tmpfs", 0, "mode=0755"); err != nil {
		return &fs.PathError{Op: "mount tmpfs", Path: aside, Err: err}
	}
	machine := filepath.Join(aside, inside)
	if err := errors.Join(os.Mkdir(machine, 0o755), os.Mkdir(filepath.Join(aside, filepath.Base(EtcDir)), 0o755)); err != nil {
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
			continue // of the sandbox around this one; what it has is found through it
		}
		if err := os.Symlink(filepath.Join(inside, e.Name()), filepath.Join(aside, e.Name())); err != nil {
			return err
		}
	}
	if err := unix.Mount(aside, "/etc", "none", unix.MS_MOVE, ""); err != nil {
		return &fs.PathError{Op: "move to /etc what is at", Path: aside, Err: err}
	}
	return os.Remove(aside)
}
