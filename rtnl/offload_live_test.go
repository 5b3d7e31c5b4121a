package rtnl

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// A veth leaves checksums to others, and stops when it is told.
func TestOffload(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	c, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(AddLink(LinkConfig{Name: "a", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "b"}}})); err != nil {
		t.Fatal(err)
	}
	o, err := DialOffload(ns)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has no netlink of ethtool")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, want := range []bool{true, false, true} {
		if !want {
			if err := o.SetChecksums("a", false); err != nil {
				t.Fatal(err)
			}
		} else if err := o.SetChecksums("a", true); err != nil {
			t.Fatal(err)
		}
		for link, want := range map[string]bool{"a": want, "b": true} {
			if on, err := o.Checksums(link); err != nil || on != want {
				t.Errorf("%s: %v, %v", link, on, err)
			}
		}
	}
	if _, err := o.Checksums("nobody"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link that is not there: %v", err)
	}
	if err := o.SetChecksums("nobody", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link that is not there: %v", err)
	}
}
