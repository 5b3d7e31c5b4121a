package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vnet-lab/vnet/nsfs"
)

// update writes the golden files anew: go test ./cmd/vnet -update
var update = flag.Bool("update", false, "write the golden files anew")

// TestMain makes the test binary four things: vnet itself and talk, when called
// by those names; a world (see world_test.go); and, in a sandbox, the tests.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "vnet":
		main()
	case "talk":
		talk()
		return
	}
	if os.Getenv(worldEnv) != "" {
		os.Exit(nsfs.Sandbox(serveWorld))
	}
	os.Exit(nsfs.Sandbox(func() int {
		testscript.Main(m, map[string]func(){"vnet": main, "talk": talk}) // puts them on PATH; exits
		return 1
	}))
}
