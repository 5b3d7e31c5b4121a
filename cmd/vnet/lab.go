package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo"
)

// labFile is what lab commands read if no file is named.
const labFile = "vnet.yaml"

// Exit codes of lab commands, besides those of main.go.
const (
	exitMistakes = 2 // a lab file has mistakes
	exitDrift    = 3 // a lab is not as its file says
)

// readLab reads and checks a lab file. Its mistakes are told here, each with its
// line.
func (s *session) readLab(file string) (topo.Topology, error) {
	text, err := s.readFile(file)
	if err != nil {
		return topo.Topology{}, err
	}
	collectLate()
	lab, err := topo.Parse(file, text)
	if err != nil {
		return lab, s.mistakes(err)
	}
	return lab, lab.Fit()
}

// compile is readLab, and the state that the file means.
func (s *session) compile(file string) (topo.Topology, topo.State, error) {
	lab, err := s.readLab(file)
	if err != nil {
		return lab, nil, err
	}
	want, err := s.stateOf(lab)
	return lab, want, err
}

// stateOf is the state that a lab means.
func (s *session) stateOf(lab topo.Topology) (topo.State, error) {
	want, err := topo.Compile(lab)
	return want, s.mistakes(err)
}

func (s *session) readFile(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(s.in)
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		e := &words.Error{Text: fmt.Sprintf("there is no file %s", file), Status: exitFailed}
		if file == labFile {
			e.Hint = "name a lab file, or - for standard input"
		}
		return nil, e
	}
	return text, err
}

// mistakes tells the mistakes of a lab file.
func (s *session) mistakes(err error) error {
	var list topo.Mistakes
	if !errors.As(err, &list) {
		return err
	}
	for _, m := range list {
		fmt.Fprintf(s.err, "vnet: error: %s\n%s", m.Error(), m.Excerpt())
	}
	return exit(exitMistakes, errReported)
}

// interruptible is a context that ends with Ctrl-C, or with the terminal unless nohup(1)
// is before the command. One that comes a second later, or more, ends the program: whoever
// is impatient. Those at once belong to the first: timeout(1) sends it to the program and
// to its group.
func interruptible() (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) {
		signals = append(signals, unix.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	return ctx, stop
}

// withKernel runs fn with the kernel half of a lab.
func (s *session) withKernel(lab string, fn func(context.Context, *topo.Kernel) error) error {
	ctx, stop := interruptible()
	defer stop()
	k, err := topo.OpenKernel(ctx, lab, slog.New(warnings{s}))
	if err != nil {
		return err
	}
	defer k.Close()
	return fn(ctx, k)
}

// warnings is a log that notes what there is to warn of.
type warnings struct{ s *session }

// Enabled passes over what is no warning.
func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs leaves attributes out: a note is a sentence.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup leaves groups out.
func (w warnings) WithGroup(string) slog.Handler { return w }

// Handle notes a warning.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	w.s.note("%s", r.Message)
	return nil
}

// count is "1 host", "2 hosts".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
