package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vnet-lab/vnet/nsfs"
)

// update rewrites the golden files: go test ./cmd/vnet -update
var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain runs the test binary as one of four programs: vnet (also called ip) or talk, if called by that name; a world
// (see world_test.go); or the tests, in a sandbox.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "vnet", "ip":
		main()
	case "talk":
		talk()
		return
	}
	if os.Getenv(worldEnv) != "" {
		os.Exit(nsfs.Sandbox(serveWorld))
	}
	os.Exit(nsfs.Sandbox(func() int {
		testscript.Main(m, map[string]func(){"vnet": main, "talk": talk}) // puts both on PATH and exits
		return 1
	}))
}
