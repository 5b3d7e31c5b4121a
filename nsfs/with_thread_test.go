package nsfs_test

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestWithThread: one thread enters a namespace, creates another one, and enters the first
// again. The calling goroutine stays outside.
func TestWithThread(t *testing.T) {
	fresh(t)
	red := add(t, "red")
	outside := readlink(t, threadNS)
	err := nsfs.WithThread(func(thread nsfs.Thread) error {
		check := func(want *os.File) {
			t.Helper()
			id, err := nsfs.Identity(want)
			if err != nil {
				t.Error(err)
			}
			here, err := nsfs.Current()
			if err != nil {
				t.Error(err)
			}
			defer here.Close()
			if got, err := nsfs.Identity(here); err != nil || got != id {
				t.Errorf("in %v, %v; want %v", got, err, id)
			}
		}
		if err := thread.Enter(red); err != nil {
			return err
		}
		check(red)
		created, err := thread.New()
		if err != nil {
			return err
		}
		defer created.Close()
		check(created)
		if err := thread.Enter(red); err != nil {
			return err
		}
		check(red)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if here := readlink(t, threadNS); here != outside {
		t.Error("the caller is in another namespace")
	}
	noThreadInside(t, outside)
}

// TestStat: Stat returns the identity of the namespace with the name.
func TestStat(t *testing.T) {
	fresh(t)
	red := add(t, "red")
	want, err := nsfs.Identity(red)
	if err != nil {
		t.Error(err)
	}
	if got, err := nsfs.Stat("red"); err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := nsfs.Stat("blue"); !os.IsNotExist(err) {
		t.Errorf("a missing name: %v", err)
	}
	if names, err := nsfs.Names(); err != nil || len(names) != 1 || names[0] != "red" {
		t.Errorf("Names() = %v, %v", names, err)
	}
}
