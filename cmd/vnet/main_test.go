package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestMain makes the test binary three things: vnet itself, when called by that
// name; a world (see world_test.go); and, in a sandbox, the tests.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "vnet" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if os.Getenv(worldEnv) != "" {
		os.Exit(nsfs.Sandbox(serveWorld))
	}
	os.Exit(nsfs.Sandbox(func() int {
		testscript.Main(m, map[string]func(){"vnet": main}) // puts vnet on PATH; exits
		return 1
	}))
}
