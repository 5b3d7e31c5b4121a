package netns

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }
