package live

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

// listRuleset returns the ruleset as nft prints it, without counters.
func listRuleset(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nft", "-s", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Skipf("no nft on this machine: %s", out)
	}
	return string(out)
}

func flushTable(t *testing.T, table string) {
	t.Helper()
	if out, err := exec.Command("nft", "flush", "table", "inet", table).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestFlushedTables: if another program flushes the lab's tables, their sets remain. This is drift, Up writes the rules
// again, and Down deletes the tables. Without their rules, foreign networks reach each other.
func TestFlushedTables(t *testing.T) {
	foreignNetworks(t)
	wantForeign(t, "before", false)
	clean := listRuleset(t)
	name, want := labtest.Compiled(t, guardedLab)
	k := openKernel(t, name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	wantForeign(t, "up", false)
	up := listRuleset(t)
	for _, table := range []string{"vnet_" + name, nft.GuardTable} {
		flushTable(t, table)
		if table == nft.GuardTable {
			wantForeign(t, "without the guard's rules", true)
		}
		plan, err := k.Plan(want)
		if s := plan.String(); err != nil || strings.Contains(s, "nat ") == (table == nft.GuardTable) ||
			strings.Contains(s, "without a guard") != (table == nft.GuardTable) {
			t.Errorf("%s was flushed: %v\n%s", table, err, plan)
		}
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(up, listRuleset(t)); diff != "" {
			t.Errorf("%s, -first up +second:\n%s", table, diff)
		}
	}
	wantForeign(t, "up again", false)
	flushTable(t, "vnet_"+name)
	less := topo.NewState()
	for _, o := range want {
		if o.Key().Kind != topo.OfNAT {
			less.Put(o)
		}
	}
	if plan, err := k.Plan(less); err != nil || !strings.Contains(plan.String(), "- nat ") {
		t.Errorf("a flushed table that is not wanted: %v\n%s", err, plan)
	}
	flushTable(t, nft.GuardTable)
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(clean, listRuleset(t)); diff != "" {
		t.Errorf("after down, -before +after:\n%s", diff)
	}
}

// TestFlushedTableByHand: adding a rule that exists writes the rules of a flushed table again, and those of the guard.
func TestFlushedTableByHand(t *testing.T) {
	listRuleset(t)
	rule := nft.Masquerade{Source: netip.MustParsePrefix("10.7.0.0/24")}
	if _, err := AddNAT(nil, NATTable, rule); err != nil {
		t.Fatal(err)
	}
	before := listRuleset(t)
	flushTable(t, NATTable)
	flushTable(t, nft.GuardTable)
	if _, err := AddNAT(nil, NATTable, rule); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, listRuleset(t)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if _, err := FlushNAT(nil, NATTable); err != nil {
		t.Error(err)
	}
}
