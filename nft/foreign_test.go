//go:build linux

package nft_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
)

// TestForeignTables: a table with sets or chains, but without this package's sets, belongs to somebody else. One
// without rules is only deleted if it has no foreign sets and chains.
func TestForeignTables(t *testing.T) {
	needNFT(t)
	c := dial(t)
	for _, tt := range []struct {
		content      string
		ours, remain bool
	}{
		{"", false, false},
		{"set theirs { type ipv4_addr; }", false, true},
		{"set own { type ipv4_addr; }", false, true},
		{"chain forward { type filter hook forward priority 0; }", false, true},
		{"set own { type ifname; }", true, false},
		{"set own { type ifname; }; set theirs { type ipv4_addr; }", true, true},
		{"set closed { type ifname; }; chain theirs { }", true, true},
		{"set closed { type ifname; }; chain forward { }", true, false},
	} {
		runNFT(t, "table inet vnet { "+tt.content+"; }\n", "-f", "-")
		before := listing(t)
		tables, err := c.RuleTables()
		if (len(tables) == 1) != tt.ours || err != nil {
			t.Errorf("%s: tables %q, %v", tt.content, tables, err)
		}
		if !tt.ours && tt.content != "" {
			if err := c.Apply("vnet", nil, []nft.Rule{nft.Own{Link: "a"}}); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: adding a rule: %v", tt.content, err)
			}
		}
		mustApply(t, c, nil, nil)
		if !tt.remain {
			mustHaveNoTables(t, c)
			continue
		}
		if diff := cmp.Diff(before, listing(t)); diff != "" {
			t.Errorf("%s: -before +after:\n%s", tt.content, diff)
		}
		runNFT(t, "flush ruleset\n", "-f", "-")
	}
}
