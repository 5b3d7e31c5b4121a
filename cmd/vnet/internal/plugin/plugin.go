//go:build linux

// Package plugin is vnet as a network plugin of container engines: an engine starts it once for each change, writes
// what it wants to the environment and to standard input, and reads the answer on standard output.
//
//	podman 4, containerd, CRI-O, nerdctl, Nomad ── CNI ──┐
//	podman 5 ── netavark ── JSON ────────────────────────┴─▶ plugin ──▶ topo/live/member
package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/vnet-lab/vnet/internal/display"
)

// Called reports whether an engine has started this program. CNI starts it by the name vnet-cni or bridge (some engines
// look for a plugin of this name), or by any other name with CNI_COMMAND in the environment and without arguments.
// netavark starts it by the name vnet-netavark, or by any other name with netavark's arguments, which are no words of
// vnet, and with an input that is not a device such as a terminal.
func Called(args []string, getenv func(string) string, in *os.File) bool {
	if len(args) == 0 {
		return false
	}
	name := filepath.Base(args[0])
	if name == "vnet-cni" || name == "bridge" || len(args) == 1 && getenv("CNI_COMMAND") != "" {
		return true
	}
	return byNetavark(args, in)
}

func byNetavark(args []string, in *os.File) bool {
	if filepath.Base(args[0]) == "vnet-netavark" {
		return true
	}
	create := len(args) == 2 && args[1] == "create"
	if !create && (len(args) != 3 || args[1] != "setup" && args[1] != "teardown") {
		return false
	}
	info, err := in.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0
}

// A call is one run of a plugin.
type call struct {
	name    string // of the program
	version string
	refused error
	getenv  func(string) string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// Run does what the engine wants, and returns the exit code. refused is why this process may do nothing, nil if it may;
// the engine gets it as the answer.
func Run(args []string, version string, refused error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c := call{filepath.Base(args[0]), version, refused, os.Getenv, os.Stdin, os.Stdout, os.Stderr}
	if byNetavark(args, os.Stdin) {
		return c.netavark(ctx, args[1:])
	}
	return c.cni(ctx)
}

// maxInput is the number of bytes that a call may have on standard input: 100 000 attachments to keep need 10 MB.
const maxInput = 16 << 20

// readInput reads standard input to its end.
func (c *call) readInput() ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(c.in, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("more than %d bytes", maxInput)
	}
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	return text, nil
}

// note prints a line for the engine's log.
func (c *call) note(format string, args ...any) {
	fmt.Fprintln(c.err, "vnet: note:", display.Escape(fmt.Sprintf(format, args...)))
}

// print writes an answer.
func (c *call) print(answer any) error {
	text, err := json.Marshal(answer)
	if err == nil {
		_, err = c.out.Write(append(text, '\n'))
	}
	return err
}
