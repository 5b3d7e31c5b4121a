package nsfs_test

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestTravel: one thread goes into a namespace, makes another one, and comes back
// into the first; who sent it stays where he was.
func TestTravel(t *testing.T) {
	fresh(t)
	red := add(t, "red")
	home := readlink(t, threadNS)
	err := nsfs.Travel(func(on nsfs.Traveller) error {
		where := func(want *os.File) {
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
		if err := on.Enter(red); err != nil {
			return err
		}
		where(red)
		made, err := on.New()
		if err != nil {
			return err
		}
		defer made.Close()
		where(made)
		if err := on.Enter(red); err != nil {
			return err
		}
		where(red)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if here := readlink(t, threadNS); here != home {
		t.Error("the caller travelled, too")
	}
	noThreadAbroad(t, home)
}

// TestStat: a name's identity is that of what is behind it.
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
		t.Errorf("an absent name: %v", err)
	}
	if names, err := nsfs.Names(); err != nil || len(names) != 1 || names[0] != "red" {
		t.Errorf("Names() = %v, %v", names, err)
	}
}
