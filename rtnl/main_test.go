package rtnl

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/internal/testmain"
)

// TestMain runs the tests in a sandbox: they do not change the network of the machine.
func TestMain(m *testing.M) { os.Exit(testmain.Run(m)) }
