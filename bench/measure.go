package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A job is one measurement: the commands of a contestant, run in a sandbox.
type job struct {
	Work work
	Dir  string
	// Up makes the network, Again makes it once more, Export writes down what is
	// there, Verify proves it, Add makes one host more, Down takes all away. What
	// is missing is not measured.
	Up, Again, Export, Verify, Add, Down []string
	// Held says that Up stays until its standard input ends, and then takes all
	// away itself. When the network is up, it prints the processes that the hosts
	// are in, as JSON.
	Held bool
	// Trace says to count the system calls of Up, and to measure nothing else.
	Trace bool
	// Forward measures forwarded ports instead; see forward.go.
	Forward *forwarding
	// Cycles is how often to make a network and take it away, and nothing else.
	Cycles int
}

// A measurement is what the commands of a job cost, by figure.
type measurement map[string]float64

// Figures of a measurement; times are in milliseconds.
const (
	up      = "up"
	upCPU   = "up, processor" // of the commands and their children
	again   = "again"
	export  = "export"
	verify  = "verify"
	add     = "add"
	down    = "down"
	downCPU = "down, processor"
	memory  = "memory"       // the most that one command of up held, in MB
	calls   = "system calls" // of up
	cycles  = "cycles"       // that worked
	rate    = "connections a second"
	flow    = "MB a second"
	onePort = "one port more"
)

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measure runs the job on standard input and writes the measurement.
func measure() int {
	var j job
	err := json.NewDecoder(os.Stdin).Decode(&j)
	var m measurement
	if err == nil {
		m, err = j.run()
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// run gives the commands as many open files as a login does, and lets them ask for
// as many more as there may be: some close as many as there could be, one by one.
func (j job) run() (measurement, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	files.Cur = min(1024, files.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	switch {
	case j.Forward != nil:
		return j.Forward.run()
	case j.Cycles > 0:
		return j.cycle()
	}
	return j.life()
}

// life is the network's, from up until it is gone.
func (j job) life() (measurement, error) {
	w, err := newWorld(j.Work.Network(0))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	m := measurement{}
	r, err := j.start(m)
	if err != nil || j.Trace {
		return m, err
	}
	if err := w.check(r.processes); err != nil {
		return nil, r.fail(err)
	}
	for _, c := range []struct {
		figure  string
		command []string
	}{{again, j.Again}, {export, j.Export}, {verify, j.Verify}, {add, j.Add}} {
		if err := timed(m, c.figure, c.command); err != nil {
			return nil, err
		}
	}
	if err := w.remember(r.processes); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := j.end(m, r); err != nil {
		return nil, err
	}
	if err := w.gone(); err != nil {
		return nil, err
	}
	m[down] = ms(time.Since(start))
	return m, nil
}

// cycle makes the network and takes it away, again and again, at once.
func (j job) cycle() (measurement, error) {
	for i := range j.Cycles {
		for _, c := range [][]string{j.Up, j.Down} {
			if err := timed(measurement{}, up, c); err != nil {
				return nil, fmt.Errorf("round %d: %w", i+1, err)
			}
		}
	}
	return measurement{cycles: float64(j.Cycles)}, nil
}

// A running contestant holds its network, and its hosts are in processes; that
// of one that has ended is in the kernel alone.
type running struct {
	cmd       *exec.Cmd
	in        io.Closer
	out       *bufio.Reader
	log       *strings.Builder
	processes map[string]int
}

// fail ends what runs and adds what it had said.
func (r running) fail(err error) error {
	if r.cmd == nil {
		return err
	}
	r.in.Close()
	return errors.Join(err, r.cmd.Wait(), errors.New(r.log.String()))
}

// start makes the network.
func (j job) start(m measurement) (running, error) {
	var r running
	command := j.Up
	trace := filepath.Join(j.Dir, "calls")
	if j.Trace {
		command = append([]string{"strace", "-f", "-c", "-o", trace}, command...)
	}
	times := m
	if j.Trace {
		times = measurement{} // of no worth
	}
	var err error
	if j.Held {
		r, err = hold(times, command)
	} else {
		err = timed(times, up, command)
	}
	if err != nil || !j.Trace {
		return r, err
	}
	if j.Held {
		if err := j.end(times, r); err != nil {
			return r, err
		}
	}
	m[calls], err = callsOf(trace)
	return r, err
}

// end takes the network away.
func (j job) end(m measurement, r running) error {
	if r.cmd == nil {
		return timed(m, down, j.Down)
	}
	r.in.Close()
	if _, err := io.Copy(io.Discard, r.out); err != nil {
		return err
	}
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, r.log)
	}
	return nil
}

// hold starts a command and waits until it says that the network is up.
func hold(m measurement, args []string) (running, error) {
	r := running{cmd: exec.Command(args[0], args[1:]...), log: &strings.Builder{}}
	r.cmd.Stderr = r.log
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	r.in = in
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	r.out = bufio.NewReader(out)
	start := time.Now()
	if err := r.cmd.Start(); err != nil {
		return r, err
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return r, r.fail(err)
	}
	m[up] = ms(time.Since(start))
	return r, json.Unmarshal(line, &r.processes)
}

// timed runs a command and notes how long it took; none if there is none.
func timed(m measurement, figure string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var out strings.Builder
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	m[figure] = ms(time.Since(start))
	if figure == up {
		m[upCPU] = ms(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
		most(m, cmd.ProcessState)
	}
	return nil
}

// most notes the memory that a command held, if it was more than this process
// holds: the kernel counts from before the command was executed, getrusage(2).
func most(m measurement, of *os.ProcessState) {
	var own unix.Rusage
	usage, ok := of.SysUsage().(*syscall.Rusage)
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); ok && err == nil && usage.Maxrss > own.Maxrss {
		m[memory] = float64(usage.Maxrss) / 1024
	}
}

// callsOf reads the sum of a table that strace(1) wrote:
//
//	100.00    0.123456           1     12345        12 total
func callsOf(file string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) >= 5 && f[len(f)-1] == "total" {
			return float64(number(f[3])), nil
		}
	}
	return 0, fmt.Errorf("%s: no sum of system calls", file)
}
