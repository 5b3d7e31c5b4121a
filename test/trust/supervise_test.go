//go:build linux

package trust

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tests supervise the system calls of a program with seccomp user notification, see seccomp_unotify(2): the kernel
// asks the test before each of these calls. The test counts them, and lets one fail, or kills the program before it.
//
//	test ──starts──▶ test binary: seccomp filter, then execve ──▶ vnet …
//	  ▲                                                            │ system call
//	  └───────────── asks: go on, fail with ENOMEM, or kill ◀──────┘

// supervisedCalls are the calls that may fail. Calls of the Go runtime for memory and threads are not among them.
var supervisedCalls = []struct {
	number uint32
	name   string
}{
	{unix.SYS_SOCKET, "socket"}, {unix.SYS_BIND, "bind"}, {unix.SYS_SENDTO, "sendto"}, {unix.SYS_SENDMSG, "sendmsg"},
	{unix.SYS_RECVMSG, "recvmsg"}, {unix.SYS_RECVFROM, "recvfrom"}, {unix.SYS_RECVMMSG, "recvmmsg"},
	{unix.SYS_SETSOCKOPT, "setsockopt"}, {unix.SYS_OPENAT, "openat"}, {unix.SYS_READ, "read"}, {unix.SYS_WRITE, "write"},
	{unix.SYS_PREAD64, "pread64"}, {unix.SYS_MKDIRAT, "mkdirat"}, {unix.SYS_UNLINKAT, "unlinkat"},
	{unix.SYS_RENAMEAT, "renameat"}, {unix.SYS_LINKAT, "linkat"}, {unix.SYS_FCHMOD, "fchmod"},
	{unix.SYS_GETDENTS64, "getdents64"}, {unix.SYS_READLINKAT, "readlinkat"}, {unix.SYS_FLOCK, "flock"},
	{unix.SYS_SETNS, "setns"}, {unix.SYS_UNSHARE, "unshare"}, {unix.SYS_MOUNT, "mount"}, {unix.SYS_UMOUNT2, "umount2"},
	{unix.SYS_PIDFD_OPEN, "pidfd_open"}, {unix.SYS_PIDFD_SEND_SIGNAL, "pidfd_send_signal"}, {unix.SYS_IOCTL, "ioctl"},
}

const (
	listenerFD = 100 // the descriptor of the seccomp listener in the supervised program
	// <linux/seccomp.h>
	seccompRetUserNotif   = 0x7fc00000
	seccompRetAllow       = 0x7fff0000
	seccompNewListener    = 1 << 3
	seccompSetModeFilter  = 1
	seccompNotifyContinue = 1
	notifRecv             = 0xc0502100
	notifSend             = 0xc0182101
)

type seccompNotif struct {
	ID         uint64
	PID, Flags uint32
	Number     int32
	Arch       uint32
	IP         uint64
	Args       [6]uint64
}

type seccompNotifResp struct {
	ID    uint64
	Val   int64
	Error int32
	Flags uint32
}

// runSupervised installs the filter and becomes the program args. It returns only if it fails.
func runSupervised(args []string) error {
	runtime.LockOSThread() // the filter is the thread's; execve ends all others
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // seccomp_data.nr
	for i, c := range supervisedCalls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
			K: c.number, Jt: uint8(len(supervisedCalls) - i), Jf: 0})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET, K: seccompRetAllow},
		unix.SockFilter{Code: unix.BPF_RET, K: seccompRetUserNotif})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	os.Unsetenv(supervisedEnv)
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return err
	}
	envv, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return err
	}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, seccompSetModeFilter, seccompNewListener,
		uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	// From here on only calls that are not supervised: nobody answers yet.
	if _, _, errno := unix.RawSyscall(unix.SYS_DUP3, fd, listenerFD, 0); errno != 0 {
		return errno
	}
	_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(argv[0])), uintptr(unsafe.Pointer(&argv[0])),
		uintptr(unsafe.Pointer(&envv[0])))
	return errno
}

// A call is the nth of the calls of one kind that a program makes, from 0.
type call struct {
	name string
	n    int
}

// An outcome is how a supervised program ended.
type outcome struct {
	status int            // exit status; 128 and more if it was killed
	output string         // standard output and standard error
	counts map[string]int // its calls by name
	hung   bool
}

// panicked reports whether the program ended with a Go panic or a fatal error of the runtime.
func (o outcome) panicked() bool {
	return strings.Contains(o.output, "goroutine ") || strings.Contains(o.output, "fatal error")
}

// An action says what happens at a call: nothing, an error, or the program's end.
type action struct {
	at    call
	errno unix.Errno
	kill  bool
}

// String is "recvmsg 3: ENOMEM".
func (a action) String() string {
	what := "kill"
	if !a.kill {
		what = unix.ErrnoName(a.errno)
	}
	return fmt.Sprintf("%s %d: %s", a.at.name, a.at.n, what)
}

// supervise runs vnet with the arguments. The zero action only counts.
func supervise(t *testing.T, do action, args ...string) outcome {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{os.Getenv(binaryEnv)}, args...)...)
	cmd.Env = append(os.Environ(), supervisedEnv+"=1", "GOMAXPROCS=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a program that the lab runs may keep standard error open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	o := outcome{counts: map[string]int{}}
	stop := time.AfterFunc(30*time.Second, func() { o.hung = true; cmd.Process.Kill() })
	defer stop.Stop()
	listener, err := listenerOf(cmd.Process.Pid, ended)
	if err != nil {
		t.Fatalf("supervise: %v\n%s", err, out.String())
	}
	done, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- serve(listener, done, cmd.Process, do, o.counts) }()
	err = <-ended
	close(done)
	if err := <-served; err != nil {
		t.Fatalf("supervise: %v", err)
	}
	unix.Close(listener)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		o.status = exit.ExitCode()
	case errors.As(err, &exit):
		o.status = 128
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		t.Fatal(err)
	}
	o.output = out.String()
	return o
}

// listenerOf takes the descriptor of the seccomp listener from the program.
func listenerOf(pid int, ended <-chan error) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pidfd)
	for {
		fd, err := unix.PidfdGetfd(pidfd, listenerFD, 0)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EBADF) {
			return 0, err
		}
		select {
		case err := <-ended:
			return 0, fmt.Errorf("the program ended: %w", err)
		case <-time.After(time.Millisecond): // until the program has installed its filter
		}
	}
}

// serve answers the kernel's questions until the program has ended.
func serve(listener int, done <-chan struct{}, program *os.Process, do action, counts map[string]int) error {
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 50); err != nil && err != unix.EINTR {
			return err
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			select {
			case <-done:
				return nil
			default:
				continue
			}
		}
		var q seccompNotif
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifRecv, uintptr(unsafe.Pointer(&q)))
		if errno != 0 {
			if errno == unix.ENOENT || errno == unix.EINTR { // the caller was interrupted or ended
				continue
			}
			return errno
		}
		name := callName(uint32(q.Number))
		r := seccompNotifResp{ID: q.ID, Flags: seccompNotifyContinue}
		if (name == "read" || name == "write") && q.Args[2] == 8 {
			name = "" // the Go runtime wakes itself through an eventfd; its end after an error is not vnet's
		}
		if name != "" && do.at == (call{name, counts[name]}) {
			if do.kill {
				program.Kill()
			} else if do.errno != 0 {
				r.Flags, r.Error = 0, -int32(do.errno)
			}
		}
		counts[name]++
		unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifSend, uintptr(unsafe.Pointer(&r)))
	}
}

func callName(number uint32) string {
	for _, c := range supervisedCalls {
		if c.number == number {
			return c.name
		}
	}
	return ""
}
