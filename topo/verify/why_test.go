package verify

import (
	"testing"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
)

func TestDropReason(t *testing.T) {
	for want, c := range map[string]ruleset.Chain{
		" (isolate, lab shop)":                                   {Family: "inet", Table: "vnet_shop", Name: "apart"},
		" (antispoof, lab shop)":                                 {Family: "bridge", Table: "vnet_shop", Name: "host_port"},
		" (127.0.0.1 is for the host itself, vnet nat)":          {Family: "inet", Table: "vnet", Name: "guard"},
		" (vnet turned forwarding on for its own networks only)": {Family: "inet", Table: nft.GuardTable, Name: "forward"},
		"": {Family: "inet", Table: "fw", Name: "apart"},
	} {
		if got := dropReason(c); got != want {
			t.Errorf("%v: %q, want %q", c, got, want)
		}
	}
	if got := dropReason(ruleset.Chain{Family: "inet", Table: "vnet_shop", Name: "mine"}); got != "" {
		t.Errorf("a chain that others added to a lab's table: %q", got)
	}
}
