package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// worldEnv is set when the test binary runs as a world.
const worldEnv = "VNET_TEST_WORLD"

// A world is a process in a sandbox that runs commands there. For networks it is a separate machine.
type world struct {
	t   *testing.T
	in  *json.Encoder
	out *json.Decoder
}

// result is the output and exit code of a command.
type result struct {
	Stdout, Stderr string
	Status         int
}

// newWorld starts a world that ends with the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), worldEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("world: %v", err)
		}
	})
	return &world{t, json.NewEncoder(in), json.NewDecoder(out)}
}

// run runs a command in the world.
func (w *world) run(args ...string) result {
	w.t.Helper()
	var r result
	if err := w.in.Encode(args); err != nil {
		w.t.Fatal(err)
	}
	if err := w.out.Decode(&r); err != nil {
		w.t.Fatalf("world: %v", err)
	}
	return r
}

// must is run for a command that must succeed.
func (w *world) must(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.Status == 127 {
		w.t.Skipf("%s: not found here: %s", args[0], r.Stderr)
	}
	if r.Status != 0 {
		w.t.Fatalf("%s: exit %d: %s", strings.Join(args, " "), r.Status, r.Stderr)
	}
	return r.Stdout
}

// serveWorld runs the commands from standard input.
func serveWorld() int {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	os.Unsetenv(worldEnv)
	for {
		var args []string
		if err := in.Decode(&args); errors.Is(err, io.EOF) {
			return 0
		} else if err != nil {
			return 1
		}
		if err := out.Encode(execute(args)); err != nil {
			return 1
		}
	}
}

func execute(args []string) result {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := result{Stdout: stdout.String(), Stderr: stderr.String(), Status: cmd.ProcessState.ExitCode()}
	if err != nil && cmd.ProcessState == nil {
		r.Status, r.Stderr = 127, err.Error()
	}
	return r
}
