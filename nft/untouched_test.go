//go:build linux

package nft_test

import (
	"testing"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestUntouched checks a new ruleset, one with a rule, and one whose only rule was deleted.
func TestUntouched(t *testing.T) {
	err := nsfs.WithThread(func(on nsfs.Thread) error {
		ns, err := on.New()
		if err != nil {
			return err
		}
		defer ns.Close()
		if !nft.Untouched() {
			t.Error("a new namespace's ruleset is not untouched")
		}
		c, err := nft.Dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		rule := nft.Masquerade{Out: "eth0"}
		if err := c.Apply("t", nil, []nft.Rule{rule}); err != nil {
			return err
		}
		if nft.Untouched() {
			t.Error("a ruleset with a rule is untouched")
		}
		if err := c.Apply("t", []nft.Rule{rule}, nil); err != nil {
			return err
		}
		if nft.Untouched() {
			t.Error("a ruleset that had a rule is untouched")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
