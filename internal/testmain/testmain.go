//go:build linux

// Package testmain runs tests in a sandbox, also while they fuzz.
package testmain

import (
	"os"
	"slices"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// Run runs the tests of a package in a new sandbox and returns their exit status. A process that fuzzes for go test
// -fuzz is already in the sandbox of the process that started it. The two exchange messages over the descriptors 3 to
// 5, which [nsfs.Sandbox] would use.
func Run(m *testing.M) int {
	if slices.Contains(os.Args, "-test.fuzzworker") {
		return m.Run()
	}
	return nsfs.Sandbox(m.Run)
}
