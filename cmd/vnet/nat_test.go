package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestNAT runs the scripts of testdata/nat. They share one sandbox; each keeps to
// namespaces of its own name.
func TestNAT(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/nat"})
}
