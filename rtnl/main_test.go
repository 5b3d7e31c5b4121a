package rtnl

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestMain runs the tests in a sandbox: none of them reaches the machine's own
// network.
func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }
