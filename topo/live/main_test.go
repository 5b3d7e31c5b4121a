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
	if as := os.Getenv(daemonTestEnv); as != "" {
		os.Exit(runTestDaemon(as))
	}
	os.Exit(nsfs.Sandbox(m.Run))
}
