//go:build linux

package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// guest is PID 1: it runs the job, reports the exit status, and restarts the machine,
// which ends QEMU. After an error it prints the error on the console and sends no
// verdict; then the host reports a failure.
func guest() {
	if err := runJob(); err != nil {
		fmt.Println("vm: guest:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

func runJob() error {
	var j job
	spec, err := os.ReadFile(jobPath)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(spec, &j); err != nil {
		return err
	}
	if err := setUpGuest(); err != nil {
		return err
	}
	verdict, err := openPort("verdict")
	if err != nil {
		return err
	}
	status, err := run(j)
	if err != nil {
		return err
	}
	return errors.Join(report(verdict, j.Outputs, status), verdict.Close())
}

// setUpGuest mounts file systems, loads the modules of the virtio ports, and sets lo up.
func setUpGuest() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, name := range strings.Fields(os.Getenv("vm_modules")) {
		if err := loadModule(name); err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	return errors.Join(makeDevices(), setLoopbackUp(), unix.Sethostname([]byte("vm")))
}

// makeDevices makes the device nodes that load their module when a program opens them,
// such as /dev/net/tun. Each line of modules.devname is "module path c10:200".
func makeDevices() error {
	root, err := moduleFolder()
	if err != nil {
		return err
	}
	return eachLine(filepath.Join(root, "modules.devname"), func(line string) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasPrefix(f[0], "#") {
			return
		}
		var major, minor uint32
		if n, _ := fmt.Sscanf(f[2], "c%d:%d", &major, &minor); n == 2 {
			_ = os.MkdirAll(filepath.Dir("/dev/"+f[1]), 0o755)
			_ = unix.Mknod("/dev/"+f[1], unix.S_IFCHR|0o600, int(unix.Mkdev(major, minor)))
		}
	})
}

func setLoopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// openPort opens the virtio port of this name.
func openPort(name string) (*os.File, error) {
	files, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(b)) == name {
			// Without O_NONBLOCK: writing to a full port must wait.
			fd, err := unix.Open("/dev/"+filepath.Base(filepath.Dir(file)), unix.O_WRONLY|unix.O_CLOEXEC, 0)
			return os.NewFile(uintptr(fd), name), err
		}
	}
	return nil, fmt.Errorf("no virtio port %q", name)
}

// run runs the commands until one fails. It returns the exit status of the last one,
// or 128 plus the signal that ended it.
func run(j job) (int, error) {
	for _, path := range j.OutputDirs {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return 0, err
		}
	}
	if err := os.Chdir(j.Dir); err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	out, outDone, err := pipeTo("out")
	if err != nil {
		return 0, err
	}
	errs, errsDone, err := pipeTo("err")
	if err != nil {
		return 0, err
	}
	status := 0
	for _, command := range j.Commands {
		status, err = start(command, &os.ProcAttr{Env: j.Env, Files: []*os.File{null, out, errs}})
		if status != 0 || err != nil {
			break
		}
	}
	out.Close()
	errs.Close()
	// Other processes may still hold the output open: kill them.
	unix.Kill(-1, unix.SIGKILL)
	outDone.Wait()
	errsDone.Wait()
	return status, err
}

// start runs one command, and reaps orphaned processes until it ends, as an init does.
func start(command []string, attr *os.ProcAttr) (int, error) {
	p, err := os.StartProcess(command[0], command, attr)
	if err != nil {
		return 0, err
	}
	return reap(p.Pid)
}

// reap waits for a child, and reaps all other processes that end before it.
func reap(child int) (int, error) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case pid == child && ws.Signaled():
			return 128 + int(ws.Signal()), nil
		case pid == child:
			return ws.ExitStatus(), nil
		}
	}
}

// pipeTo returns the write end of a pipe whose content it copies to a port. A port can
// be opened only once, but a program may open /dev/stdout again.
func pipeTo(name string) (*os.File, *sync.WaitGroup, error) {
	to, err := openPort(name)
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	var done sync.WaitGroup
	done.Go(func() {
		_, _ = io.Copy(struct{ io.Writer }{to}, r)
		to.Close()
	})
	return w, &done, nil
}

// report sends the output files, and the verdict last.
func report(to io.Writer, back []string, status int) error {
	w := tar.NewWriter(to)
	for _, path := range back {
		err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // ignore files that the program did not write
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return send(w, path, b)
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(send(w, exitEntry, []byte(strconv.Itoa(status))), w.Close())
}

func send(w *tar.Writer, name string, b []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(b)), Mode: 0o644}); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}
