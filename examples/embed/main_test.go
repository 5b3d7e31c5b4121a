package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/live"
)

func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

// The example succeeds, has less than 45 lines, and leaves nothing behind.
func TestEmbed(t *testing.T) {
	if code := run(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if labs, err := live.Labs(); err != nil || len(labs) > 0 {
		t.Errorf("left: %v, %v", labs, err)
	}
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(text, []byte("\n")); lines >= 45 {
		t.Errorf("%d lines", lines)
	}
}

// A fact that does not hold is a failure, and the example still takes the lab down.
func TestEmbedFails(t *testing.T) {
	was := text
	defer func() { text = was }()
	text = append(bytes.Clone(was), "  - red -> blue tcp 80: refused\n  - red -> blue: not ping\n"...)
	if run() == 0 {
		t.Error("a fact that does not hold is no failure")
	}
	if labs, err := live.Labs(); err != nil || len(labs) > 0 {
		t.Errorf("left: %v, %v", labs, err)
	}
	text = []byte("name: x\nhosts: {red: {colour: red}}\n")
	if run() == 0 {
		t.Error("a mistake in the lab file is no failure")
	}
}
