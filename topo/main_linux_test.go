package topo

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

func TestMain(m *testing.M) {
	if words := os.Getenv(victim); words != "" {
		os.Exit(beVictim(words))
	}
	os.Exit(nsfs.Sandbox(m.Run))
}
