package nsfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// runAndKillRest runs a command and passes signals on to it. At the end it kills the
// processes that the command left, because they would keep the sandbox's namespaces.
func runAndKillRest(cmd *exec.Cmd) error {
	// Processes in the sandbox whose parent has ended become children of this process.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err == nil {
		defer killChildren(children())
	}
	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case s := <-signals:
			// The command gets a signal from a terminal twice: the terminal sends it to both processes.
			_ = cmd.Process.Signal(s) // fails if it has ended
		}
	}
}

// killChildren kills the children of this process, except those in keep. It does so until
// there are none, because the children of a killed process become children of this one.
func killChildren(keep []int) {
	for hasChildren() {
		list := slices.DeleteFunc(children(), func(pid int) bool { return slices.Contains(keep, pid) })
		if len(list) == 0 {
			return
		}
		for _, pid := range list {
			if unix.Kill(pid, unix.SIGKILL) != nil {
				return // it belongs to another user
			}
		}
		for _, pid := range list {
			_, err := unix.Wait4(pid, nil, 0, nil)
			for err == unix.EINTR {
				_, err = unix.Wait4(pid, nil, 0, nil)
			}
		}
	}
}

// hasChildren reports whether this process has children. It is much faster than children.
func hasChildren() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != unix.ECHILD
}

// children returns the process IDs of the children of this process.
func children() (list []int) {
	if !hasChildren() {
		return nil
	}
	entries, _ := os.ReadDir("/proc") // without /proc nothing is found
	parent := strconv.Itoa(os.Getpid())
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PPID; the name may contain anything.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == parent {
			list = append(list, pid)
		}
	}
	return list
}

// explainRefusal adds the reason why the kernel refuses new namespaces, if the machine's
// settings show it.
func explainRefusal(err error) error {
	err = fmt.Errorf("create namespaces: %w", err)
	is := func(path, value string) bool {
		b, readErr := os.ReadFile(path)
		return readErr == nil && strings.TrimSpace(string(b)) == value
	}
	user := os.Geteuid() != 0
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS):
		for _, typ := range []string{"user", "net", "mnt"} {
			if setting := "user.max_" + typ + "_namespaces"; is("/proc/sys/user/max_"+typ+"_namespaces", "0") {
				return fmt.Errorf("%w: %s is 0: the machine allows no %s namespaces", err, setting,
					map[string]string{"user": "user", "net": "network", "mnt": "mount"}[typ])
			}
		}
		return fmt.Errorf("%w: the limit of user, network or mount namespaces is reached; see user.max_*_namespaces", err)
	case errors.Is(err, unix.EINVAL) && user:
		return fmt.Errorf("%w: perhaps the kernel has no user namespaces (CONFIG_USER_NS)", err)
	case !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES):
		return err
	case is("/proc/sys/kernel/unprivileged_userns_clone", "0") && user:
		return fmt.Errorf("%w: kernel.unprivileged_userns_clone is 0: only root may create user namespaces", err)
	case is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") && user:
		return fmt.Errorf("%w: kernel.apparmor_restrict_unprivileged_userns is 1: AppArmor does not allow this program "+
			"to create user namespaces", err)
	case user:
		return fmt.Errorf("%w: this user may not create user namespaces here (seccomp, as in a container, or another "+
			"security module)", err)
	}
	return fmt.Errorf("%w: root needs CAP_SYS_ADMIN for that, or a user namespace: run it as another user", err)
}
