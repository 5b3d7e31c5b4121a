package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

// labFile is the file that lab commands read by default.
const labFile = "vnet.yaml"

// Exit codes of lab commands, besides those of main.go.
const (
	exitMistakes = 2 // a lab file has mistakes
	exitDrift    = 3 // a lab differs from its file
)

// readLab reads and checks a lab file, and asks the machine what the lab depends on. It prints the mistakes.
func (s *session) readLab(file string) (lab.Topology, error) {
	lab, err := s.parseLab(file)
	if err != nil {
		return lab, err
	}
	return lab, lab.Fill(live.Machine{})
}

// parseLab reads and checks a lab file. It prints the mistakes.
func (s *session) parseLab(file string) (lab.Topology, error) {
	lab, err := s.parse(file)
	return lab, s.mistakes(err)
}

// parse reads and checks a lab file. Its mistakes are the error.
func (s *session) parse(file string) (lab.Topology, error) {
	text, err := s.readFile(file)
	if err != nil {
		return lab.Topology{}, err
	}
	collectLate()
	return lab.Parse(file, text)
}

// compile reads a lab file and compiles it.
func (s *session) compile(file string) (lab.Topology, topo.State, error) {
	lab, err := s.readLab(file)
	if err != nil {
		return lab, nil, err
	}
	want, err := s.stateOf(lab)
	return lab, want, err
}

// stateOf compiles a lab and prints its mistakes.
func (s *session) stateOf(topology lab.Topology) (topo.State, error) {
	want, err := lab.Compile(topology)
	return want, s.mistakes(err)
}

// mistakes prints the mistakes of a lab file, if err contains any.
func (s *session) mistakes(err error) error {
	var list lab.Mistakes
	if !errors.As(err, &list) {
		return err
	}
	for _, m := range list[:min(len(list), lab.MaxShown)] {
		fmt.Fprintf(s.err, "vnet: error: %s\n%s", m.Error(), m.Excerpt())
	}
	if more := len(list) - lab.MaxShown; more > 0 {
		fmt.Fprintf(s.err, "vnet: error: and %d more mistakes\n", more)
	}
	return exit(exitMistakes, errReported)
}

// interruptible returns a context that is cancelled by Ctrl-C, Ctrl-\, SIGTERM, or SIGHUP unless nohup(1) ignores it.
// A closed pipe (SIGPIPE) does not end the program either: the end at such a signal would leave an incomplete lab.
// A second signal ends the program if it comes a second or more after the first. An earlier one is ignored:
// timeout(1) sends its signal to the program and then to its process group.
func interruptible() (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, unix.SIGTERM, unix.SIGQUIT}
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) // not ignored: programs that vnet starts would ignore it too
	if !signal.Ignored(unix.SIGHUP) {
		signals = append(signals, unix.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	return ctx, stop
}

// withKernel opens the kernel for a lab and runs fn.
func (s *session) withKernel(lab string, fn func(context.Context, *live.Kernel) error) error {
	ctx, stop := interruptible()
	defer stop()
	k, err := live.OpenKernel(ctx, lab, slog.New(warnings{s}))
	if err != nil {
		return err
	}
	defer k.Close()
	return fn(ctx, k)
}

// warnings is a log handler that prints warnings as notes.
type warnings struct{ s *session }

// Enabled accepts warnings and errors.
func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs drops attributes: a note is only a sentence.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup drops groups.
func (w warnings) WithGroup(string) slog.Handler { return w }

// Handle prints a warning as a note.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	w.s.note("%s", r.Message)
	return nil
}

// count formats a number with a noun: "1 host", "2 hosts".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
