package live

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
)

// daemonTestEnv is an environment variable. It makes the test binary start a process in the way that the variable
// names, instead of running tests. The value is WAY,FIFO; the ID of the process goes
// to the FIFO.
const daemonTestEnv = "VNET_TEST_DAEMON"

// daemonWays are the ways in which a daemon may start a process, so that it is no trusted program of the lab.
var daemonWays = map[string]func(*exec.Cmd){
	"same user":      func(*exec.Cmd) {},
	"other user":     func(c *exec.Cmd) { c.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534} },
	"pid namespace":  func(c *exec.Cmd) { c.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID },
	"user namespace": func(c *exec.Cmd) { c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER },
}

func runTestDaemon(text string) int {
	way, fifo, _ := strings.Cut(text, ",")
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	daemonWays[way](cmd)
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	out, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		return fail(err)
	}
	if _, err := fmt.Fprintln(out, cmd.Process.Pid); err != nil {
		return fail(err)
	}
	return 0
}

// hasOtherUsers reports whether a process can become another user here.
func hasOtherUsers() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	ids := strings.Fields(string(text))
	return err == nil && len(ids) == 3 && ids[2] != "1"
}

// Down stops all processes of the lab's programs, whatever they did to their user and namespaces, also if no trusted
// process is left. It does not stop a process that somebody else started in the namespace.
func TestDownStopsDaemons(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for way := range daemonWays {
		if way == "other user" && !hasOtherUsers() {
			continue
		}
		daemon := func(fifo string) string { return fmt.Sprintf("%s='%s,%s' %s", daemonTestEnv, way, fifo, binary) }
		t.Run(way, func(t *testing.T) { testDownStops(t, daemon, false) })
		t.Run(way+", alone", func(t *testing.T) { testDownStops(t, daemon, true) })
	}
	t.Run("without environment", func(t *testing.T) {
		testDownStops(t, func(fifo string) string {
			return "env -i PATH=$PATH sh -c 'sleep 1000 & echo $! >" + fifo + "; wait'"
		}, false)
	})
}

// testDownStops runs a command that writes the ID of a process to a FIFO. Down must stop that process. alone: the
// trusted processes were killed before.
func testDownStops(t *testing.T, command func(fifo string) string, alone bool) {
	fifo := filepath.Join(t.TempDir(), "pids")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	pids, err := os.OpenFile(fifo, os.O_RDWR, 0) // always a writer
	if err != nil {
		t.Fatal(err)
	}
	defer pids.Close()
	lab, want := labtest.Compiled(t, fmt.Sprintf("name: daemons\nhosts: {red: {run: %q}}", command(fifo)))
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(pids).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	ours := openTestProcess(t, pid)
	cmd := exec.Command("sleep", "1000")
	if err := doIn("red", cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	foreign := openTestProcess(t, cmd.Process.Pid)
	if alone {
		killTrusted(t, k, ours.pid)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if !ours.hasEnded(0) {
		t.Errorf("process %d still runs after Down", ours.pid)
		unix.Kill(ours.pid, unix.SIGKILL)
	}
	if foreign.hasEnded(0) {
		t.Error("Down stopped a foreign process")
	}
}

// If Down may not stop a process of a program, everything remains, also the program's trusted process, which shows
// that the other one belongs to the lab. So the next Down stops both.
func TestDownThatCannotStopAProgram(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "pids")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	pids, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pids.Close()
	lab, want := labtest.Compiled(t, fmt.Sprintf("name: stays\nhosts: {red: {run: %q}}",
		"env -i PATH=$PATH sh -c 'sleep 1000 & echo $! >"+fifo+"; wait'; true"))
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(pids).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	ours := openTestProcess(t, pid)
	k.calls.Signal = func(fd int, sig unix.Signal, info *unix.Siginfo, flags int) error {
		if text, _ := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd)); strings.Contains(string(text)+"\n",
			fmt.Sprintf("\nPid:\t%d\n", pid)) {
			return unix.EPERM
		}
		return unix.PidfdSendSignal(fd, sig, info, flags)
	}
	if _, err := k.Down(t.Context(), nil); !errors.Is(err, unix.EPERM) {
		t.Error("the first Down: ", err)
	}
	if left, err := k.Plan(want); err != nil || len(left) > 0 {
		t.Errorf("the first Down changed something: %v\n%v", err, left)
	}
	withoutFaults(k)
	if _, err := k.Down(t.Context(), nil); err != nil || !ours.hasEnded(0) {
		t.Errorf("the next Down: %v, stopped %t", err, ours.hasEnded(0))
		unix.Kill(pid, unix.SIGKILL)
	}
}

// A testProcess is a process whose end a test waits for.
type testProcess struct{ pid, fd int }

// openTestProcess opens a process that exists.
func openTestProcess(t *testing.T, pid int) testProcess {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return testProcess{pid, fd}
}

// hasEnded reports whether the process ends within a time.
func (p testProcess) hasEnded(within time.Duration) bool {
	until := time.Now().Add(within)
	for {
		left := max(0, time.Until(until))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// killTrusted kills the trusted processes of the lab's programs, except one, and waits for their end.
func killTrusted(t *testing.T, k *Kernel, except int) {
	t.Helper()
	list, err := k.programs.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.PID == except {
			continue
		}
		fd, err := unix.PidfdOpen(p.PID, 0)
		if err == unix.ESRCH {
			continue // the process that started the daemon
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		if !(testProcess{p.PID, fd}).hasEnded(soon) {
			t.Fatalf("process %d does not end", p.PID)
		}
	}
}

// What is set-user-ID is no member, unless a program of the lab started it.
func TestFakeMembers(t *testing.T) {
	const lab = "red-blue"
	k := openKernel(t, lab)
	installSetuidCat(t, "/run/su")
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	pid := startFakeProgramAs(t, lab, "/run/su", as)
	found := func(p program.Program) bool {
		t.Errorf("a process is a member of %v; the fake one is %d", p, pid)
		return false
	}
	if _, err := k.programs.Stop(found, nil); err != nil {
		t.Error(err)
	}
}
