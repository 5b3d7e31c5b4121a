//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// noVerdict is the exit status if the machine ends without a verdict.
const noVerdict = 125

type options struct {
	kernel, init, accel, append string
	memory, cpus                int
	timeout                     time.Duration
	files, with, load           []string
	without                     *regexp.Regexp
	verbose                     bool
	args                        []string
}

func parse(args []string) (*options, error) {
	o := &options{init: "/proc/self/exe"}
	f := flag.NewFlagSet("vm", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "Usage: vm -kernel FOLDER [OPTION]... PROGRAM [ARGUMENT]... [--and PROGRAM [ARGUMENT]...]")
		f.PrintDefaults()
	}
	f.StringVar(&o.kernel, "kernel", os.Getenv("VNET_VM_KERNEL"),
		"`folder` with boot/ and lib/modules/ of one kernel; see kernels.sh")
	f.StringVar(&o.init, "init", o.init, "vm, built for the guest's processor")
	f.StringVar(&o.accel, "accel", "", "QEMU's `accelerator`; default VNET_VM_ACCEL, or tcg")
	f.StringVar(&o.append, "append", "", "more kernel `parameters`, such as ipv6.disable=1")
	f.IntVar(&o.memory, "memory", 1024, "the guest's memory in `MiB`")
	f.IntVar(&o.cpus, "cpus", 1, "the guest's processors; with several, emulated kernels sometimes hang")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "the longest time the machine may run")
	f.BoolVar(&o.verbose, "console", false, "show the kernel's console on standard error")
	f.Func("file", "`source[:path]` of a file or folder to copy into the guest; may be repeated", func(s string) error {
		o.files = append(o.files, s)
		return nil
	})
	with := "`programs` of this machine to copy into the guest, with their libraries: ip,nft"
	f.Func("with", with, func(s string) error {
		o.with = append(o.with, strings.Split(s, ",")...)
		return nil
	})
	f.Func("load", "`modules` that the guest loads at its start: br_netfilter,sctp", func(s string) error {
		o.load = append(o.load, strings.Split(s, ",")...)
		return nil
	})
	without := "`pattern` of modules to leave out of the guest, such as nf_nat|nft_masq"
	f.Func("without", without, func(s string) (err error) {
		o.without, err = regexp.Compile("^(" + s + ")$")
		return err
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if o.accel == "" {
		o.accel = os.Getenv("VNET_VM_ACCEL")
	}
	if o.accel == "" {
		o.accel = "tcg"
	}
	o.args = f.Args()
	if len(o.args) == 0 || o.kernel == "" {
		f.Usage()
		return nil, errors.New("expected a kernel and a program")
	}
	return o, nil
}

// host runs the program in a machine and returns its exit status.
func host(args []string) (int, error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	} else if err != nil {
		return noVerdict, err
	}
	work, err := os.MkdirTemp("", "vm")
	if err != nil {
		return noVerdict, err
	}
	defer os.RemoveAll(work)
	j, err := newJob(o.args)
	if err != nil {
		return noVerdict, err
	}
	m, k, err := prepare(o, work, j)
	if err != nil {
		return noVerdict, err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.timeout,
		fmt.Errorf("the machine ran longer than %s", o.timeout))
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	status, err := boot(ctx, work, qemu(o, m, k, work), j.Outputs)
	console, _ := os.ReadFile(filepath.Join(work, "console"))
	if err != nil || o.verbose {
		os.Stderr.Write(console)
	}
	return status, err
}

// prepare chooses the machine, finds the kernel, and writes the initramfs.
func prepare(o *options, work string, j job) (machine, kernel, error) {
	_, m, err := machineFor(j.Commands[0][0])
	if err != nil {
		return m, kernel{}, err
	}
	k, err := findKernel(o.kernel)
	if err != nil {
		return m, k, err
	}
	j.Env = append(j.Env, guestEnv(os.Environ())...)
	f, err := os.Create(filepath.Join(work, "initramfs"))
	if err != nil {
		return m, k, err
	}
	return m, k, errors.Join(writeInitramfs(f, o, k, j), f.Close())
}

// guestEnv returns the environment of the guest: a fixed part, and variables for Go and vnet.
func guestEnv(environ []string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "VNET_VM=1"}
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		forGo := strings.HasPrefix(name, "GO") && name != "GOROOT" && name != "GOFLAGS"
		if forGo || strings.HasPrefix(name, "VNET_") {
			env = append(env, v)
		}
	}
	return env
}

// qemu returns the command line of QEMU. The machine has no network device: the tests
// make all networks inside.
func qemu(o *options, m machine, k kernel, work string) []string {
	level := "quiet loglevel=5"
	if o.verbose {
		level = "loglevel=7"
	}
	accel := o.accel
	if accel == "tcg" {
		accel = "tcg,thread=multi"
	}
	// An emulated processor needs no mitigations, and they make it a fifth slower.
	cmdline := fmt.Sprintf("console=%s %s panic=-1 mitigations=off init_on_alloc=0 %s vm_modules=%q %s",
		m.console, level, m.cmdline, strings.Join(append(m.modules, o.load...), " "), o.append)
	args := append([]string{m.qemu}, m.args...)
	args = append(args, "-accel", accel, "-smp", strconv.Itoa(o.cpus), "-m", strconv.Itoa(o.memory),
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none",
		"-kernel", k.image, "-initrd", filepath.Join(work, "initramfs"), "-append", cmdline,
		"-serial", "file:"+filepath.Join(work, "console"), "-device", m.serial)
	for _, name := range []string{"out", "err", "verdict"} {
		args = append(args, "-chardev", "socket,id="+name+",path="+filepath.Join(work, name),
			"-device", "virtserialport,chardev="+name+",name="+name)
	}
	return args
}

// boot runs QEMU, copies the output from the ports, and returns the verdict.
func boot(ctx context.Context, work string, args []string, back []string) (int, error) {
	ports := map[string]<-chan []byte{}
	for name, to := range map[string]io.Writer{"out": os.Stdout, "err": os.Stderr, "verdict": nil} {
		done, err := receive(filepath.Join(work, name), to)
		if err != nil {
			return noVerdict, err
		}
		ports[name] = done
	}
	// QEMU must end with this process. Pdeathsig refers to the thread, so lock it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var qemuErrors bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = &qemuErrors
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return noVerdict, fmt.Errorf("%s: %w\n%s", args[0], err, qemuErrors.String())
	}
	<-ports["out"]
	<-ports["err"]
	return unpack(bytes.NewReader(<-ports["verdict"]), back)
}

// receive accepts QEMU's connection and copies its data to a writer until QEMU ends.
// Without a writer it sends the data on the channel.
func receive(path string, to io.Writer) (<-chan []byte, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	done := make(chan []byte, 1)
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var kept bytes.Buffer
		if to == nil {
			to = &kept
		}
		_, _ = io.Copy(to, conn)
		done <- kept.Bytes()
	}()
	return done, nil
}

// unpack writes the output files to their paths, and returns the verdict that follows
// them.
func unpack(r io.Reader, back []string) (int, error) {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err != nil {
			return noVerdict, errors.New("the machine ended without a verdict")
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return noVerdict, err
		}
		if h.Name == exitEntry {
			return strconv.Atoi(string(b))
		}
		if !isOutput(back, "/"+strings.TrimPrefix(h.Name, "/")) {
			return noVerdict, fmt.Errorf("the machine sent %s, which is no output of its job", h.Name)
		}
		if err := os.WriteFile("/"+strings.TrimPrefix(h.Name, "/"), b, 0o644); err != nil {
			return noVerdict, err
		}
	}
}

// isOutput reports whether path is one of outputs or below one.
func isOutput(back []string, path string) bool {
	for _, b := range back {
		if rel, err := filepath.Rel(b, path); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}
