package live

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestLabsOfFiles: Labs finds a lab of which only files are left, and Down removes the files.
func TestLabsOfFiles(t *testing.T) {
	dir := filepath.Join(nsfs.EtcDir, "gone")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "hosts")
	if err := os.WriteFile(file, []byte(mark.FileMark("filesonly")+"127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if labs, err := Labs(); err != nil || !slices.Contains(labs, "filesonly") {
		t.Fatalf("%v, %v", labs, err)
	}
	k, err := OpenKernel(t.Context(), "filesonly", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
}
