package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestNAT runs the scripts of testdata/nat. They share one sandbox, so each uses its own names of namespaces.
func TestNAT(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/nat"})
}
