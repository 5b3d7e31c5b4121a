package nsfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sandboxed marks the environment of the process that [Sandbox] starts.
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
	if os.Getenv(sandboxed) == "" {
		return reexec()
	}
	os.Unsetenv(sandboxed) // a sandbox in the sandbox is a new one
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 1
	}
	return run()
}

// reexec starts the program again in fresh namespaces and waits for it.
func reexec() int {
	// The child is to die with this process; the kernel ties that to the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), sandboxed+"=1")
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
	err := unix.Mount("tmpfs", etcDir, "tmpfs", 0, "mode=0755")
	if err != unix.ENOENT {
		return os.NewSyscallError("mount tmpfs on "+etcDir, err)
	}
	// Held open, the machine's can be put into the new one, where a sandbox inside
	// this one finds it again.
	machine, err := os.Open("/etc")
	if err != nil {
		return err
	}
	defer machine.Close()
	names, err := machine.Readdirnames(-1)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/etc", "tmpfs", 0, "mode=0755"); err != nil {
		return &fs.PathError{Op: "mount tmpfs", Path: "/etc", Err: err}
	}
	const inside = ".machine"
	to := filepath.Join("/etc", inside)
	if err := errors.Join(os.Mkdir(to, 0o755), os.Mkdir(etcDir, 0o755)); err != nil {
		return err
	}
	from := fmt.Sprintf("/proc/self/fd/%d", machine.Fd())
	if err := unix.Mount(from, to, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "bind the machine's /etc on", Path: to, Err: err}
	}
	for _, name := range names {
		if err := os.Symlink(filepath.Join(inside, name), filepath.Join("/etc", name)); err != nil {
			return err
		}
	}
	return nil
}
