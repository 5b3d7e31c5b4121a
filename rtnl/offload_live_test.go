package rtnl

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestOffload: checksum offload of a veth is on by default, and can be set off and on.
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
		t.Skip("this kernel has no CONFIG_ETHTOOL_NETLINK")
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
	if _, err := o.Checksums("missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link that does not exist: %v", err)
	}
	if err := o.SetChecksums("missing", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link that does not exist: %v", err)
	}
}
