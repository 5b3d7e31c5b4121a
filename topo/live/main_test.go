package live

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

func TestMain(m *testing.M) {
	if words := os.Getenv(killTestEnv); words != "" {
		os.Exit(runKillTestChild(words))
	}
	os.Exit(nsfs.Sandbox(m.Run))
}
