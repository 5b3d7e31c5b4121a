package nsfs_test

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

func TestAddListRemove(t *testing.T) {
	if err := nsfs.Add("red"); err != nil {
		t.Fatal(err)
	}
	entries, err := nsfs.List()
	if err != nil || len(entries) != 1 || entries[0].Name != "red" || entries[0].Stale {
		t.Fatalf("List() = %+v, %v", entries, err)
	}
	if err := nsfs.Remove("red"); err != nil {
		t.Fatal(err)
	}
}
