package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestDoctor runs the scripts of testdata/doctor. The machine that they examine must have no other labs, so they are
// not in testdata/nat.
func TestDoctor(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/doctor"})
}
