//go:build linux

package trust

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// Environment variables.
const (
	binaryEnv     = "VNET_BIN"            // the vnet program; without it, TestMain builds one
	tableEnv      = "VNET_TRUST_TABLE"    // a file for the rows; it also selects all cases instead of a sample
	supervisedEnv = "VNET_TEST_SUPERVISE" // the test binary runs its arguments under supervision; see supervise
)

func TestMain(m *testing.M) {
	if os.Getenv(supervisedEnv) != "" {
		fmt.Fprintln(os.Stderr, runSupervised(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(run(m))
}

// run builds the program, unless there is one, and runs the tests in a sandbox.
func run(m *testing.M) int {
	if os.Getenv(binaryEnv) != "" {
		return nsfs.Sandbox(m.Run)
	}
	dir, err := os.MkdirTemp("", "vnet-trust")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "vnet")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/vnet").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	os.Setenv(binaryEnv, binary)
	return nsfs.Sandbox(m.Run)
}

// all reports whether all cases run, not a sample.
func all() bool { return os.Getenv(tableEnv) != "" }

// A row is a line of the table in SECURITY.md.
type row struct {
	t     *testing.T
	what  string // what was done
	times int    // how many times
	bad   int    // how many of them ended wrong
	wrong string // what wrong means
}

// fail counts a wrong end and prints it.
func (r *row) fail(format string, args ...any) {
	r.t.Helper()
	if r.bad++; r.bad <= 20 {
		r.t.Errorf(format, args...)
	}
}

// write writes the row into the table.
func (r *row) write() {
	r.t.Helper()
	line := fmt.Sprintf("| %s | %d | %s | %d |\n", r.what, r.times, r.wrong, r.bad)
	r.t.Log(line)
	if r.times == 0 {
		r.t.Error("nothing was tried")
	}
	if !all() {
		return
	}
	f, err := os.OpenFile(os.Getenv(tableEnv), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		r.t.Fatal(err)
	}
}
