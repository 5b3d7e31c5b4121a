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

// A job is one measurement: the commands of a tool, run in a sandbox.
type job struct {
	Workload workload
	Dir      string
	// Up makes the network, Again is a second up, Export writes its lab file, Verify
	// tests it, Add adds one host, Down removes everything. Empty ones are not measured.
	Up, Again, Export, Verify, Add, Down []string
	// Holds is true if Up runs until its standard input ends, and then removes everything
	// itself. When the network is up, it prints the pids of the hosts as JSON.
	Holds bool
	// Trace counts the system calls of Up and measures nothing else.
	Trace bool
	// Forward measures port forwards instead; see forward.go.
	Forward *forwardJob
	// Guard measures the cost of the guard or of all filter rules instead; see guard.go.
	Guard *guardJob
	// Cycles, if not 0, runs Up and Down this many times and measures nothing else.
	Cycles int
}

// A measurement has the results of a job by figure.
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
	memory  = "memory"       // the maximum resident set of a process, in MB
	calls   = "system calls" // of up
	cycles  = "cycles"       // that succeeded
	rate    = "connections per second"
	flow    = "MB per second"
	onePort = "one more port"
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

// run executes the job with the open file limit of a login, because some programs close every possible
// descriptor one by one. The hard limit stays, so a command can raise the limit.
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
	case j.Guard != nil:
		return j.Guard.run()
	case j.Cycles > 0:
		return j.repeatUpDown()
	}
	return j.measureOnce()
}

// measureOnce brings the network up, measures the commands, and takes it down.
func (j job) measureOnce() (measurement, error) {
	w, err := newTestnet(j.Workload.Network(0))
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
		return nil, r.stop(err)
	}
	for _, c := range []struct {
		figure  string
		command []string
	}{{again, j.Again}, {export, j.Export}, {verify, j.Verify}, {add, j.Add}} {
		if err := timeCommand(m, c.figure, c.command); err != nil {
			return nil, err
		}
	}
	if err := w.assignNSIDs(r.processes); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := j.end(m, r); err != nil {
		return nil, err
	}
	if err := w.waitGone(); err != nil {
		return nil, err
	}
	m[down] = ms(time.Since(start))
	return m, nil
}

// repeatUpDown runs Up and Down many times without a pause.
func (j job) repeatUpDown() (measurement, error) {
	for i := range j.Cycles {
		for _, c := range [][]string{j.Up, j.Down} {
			if err := timeCommand(measurement{}, up, c); err != nil {
				return nil, fmt.Errorf("round %d: %w", i+1, err)
			}
		}
	}
	return measurement{cycles: float64(j.Cycles)}, nil
}

// A running tool keeps its network in processes. cmd is nil if the command has ended and
// the network is in the kernel only.
type running struct {
	cmd       *exec.Cmd
	in        io.Closer
	out       *bufio.Reader
	log       *strings.Builder
	processes map[string]int
}

// stop ends the tool and adds its output to err.
func (r running) stop(err error) error {
	if r.cmd == nil {
		return err
	}
	r.in.Close()
	return errors.Join(err, r.cmd.Wait(), errors.New(r.log.String()))
}

// start brings the network up.
func (j job) start(m measurement) (running, error) {
	var r running
	command := j.Up
	trace := filepath.Join(j.Dir, "calls")
	if j.Trace {
		command = append([]string{"strace", "-f", "-c", "-o", trace}, command...)
	}
	times := m
	if j.Trace {
		times = measurement{} // not measured
	}
	var err error
	if j.Holds {
		r, err = startHolding(times, command)
	} else {
		err = timeCommand(times, up, command)
	}
	if err != nil || !j.Trace {
		return r, err
	}
	if j.Holds {
		if err := j.end(times, r); err != nil {
			return r, err
		}
	}
	m[calls], err = readCallCount(trace)
	return r, err
}

// end takes the network down.
func (j job) end(m measurement, r running) error {
	if r.cmd == nil {
		return timeCommand(m, down, j.Down)
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

// startHolding starts a command and waits until it reports that the network is up.
func startHolding(m measurement, args []string) (running, error) {
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
		return r, r.stop(err)
	}
	m[up] = ms(time.Since(start))
	return r, json.Unmarshal(line, &r.processes)
}

// timeCommand runs a command and records its time. Without args it does nothing.
func timeCommand(m measurement, figure string, args []string) error {
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
		recordMemory(m, cmd.ProcessState)
	}
	return nil
}

// recordMemory records the maximum memory of a command, if it is more than that of this
// process: the kernel's value includes the time before execve, see getrusage(2).
func recordMemory(m measurement, of *os.ProcessState) {
	var own unix.Rusage
	usage, ok := of.SysUsage().(*syscall.Rusage)
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); ok && err == nil && usage.Maxrss > own.Maxrss {
		m[memory] = float64(usage.Maxrss) / 1024
	}
}

// readCallCount returns the total of a table that strace(1) wrote:
//
//	100.00    0.123456           1     12345        12 total
func readCallCount(file string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) >= 5 && f[len(f)-1] == "total" {
			return float64(number(f[3])), nil
		}
	}
	return 0, fmt.Errorf("%s: no total of system calls", file)
}
