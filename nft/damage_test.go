//go:build linux

package nft_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
)

// TestDamagedTable flushes tables and each chain, and deletes the last rule of each chain. Rules reports that,
// ReadGuard says that the guard drops nothing, and any change writes all rules again, also adding a rule that exists.
func TestDamagedTable(t *testing.T) {
	needNFT(t)
	c := dial(t)
	rules, guard := allRules(), nft.Guard{IPv4: true, IPv6: true, Out: []string{"eth0"}}
	mustApply(t, c, nil, rules)
	if err := c.Guard(guard); err != nil {
		t.Fatal(err)
	}
	whole := listing(t)
	damages := []string{"flush table inet vnet", "flush table bridge vnet", "flush table inet vnet-guard"}
	damages = append(damages, damagesOfChains(t)...)
	for _, damage := range damages {
		runNFT(t, withHandle(t, damage)+"\n", "-f", "-")
		_, state, err := c.Rules("vnet")
		g, guardErr := c.ReadGuard()
		if err != nil || guardErr != nil || state.Damaged != !strings.Contains(damage, "-guard") ||
			g.IPv4 != state.Damaged || g.IPv6 != state.Damaged {
			t.Errorf("%s: %+v, %v, %+v, %v", damage, state, err, g, guardErr)
		}
		sameRules(t, c, rules)
		mustApply(t, c, nil, []nft.Rule{nft.Own{Link: "v-net-0"}, nft.Hairpin{Port: "red-eth0"}})
		if err := c.UpdateGuard(func(have nft.Guard) nft.Guard { return have }); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(whole, listing(t)); diff != "" {
			t.Errorf("%s: -before +repaired:\n%s", damage, diff)
		}
	}
	runNFT(t, "flush table inet vnet\n", "-f", "-")
	mustApply(t, c, rules, nil)
	if err := c.Guard(nft.Guard{}); err != nil {
		t.Error(err)
	}
	mustHaveNoTables(t, c)
}

// damagesOfChains returns commands that flush each chain, and commands that delete the last rule of each: "last" is
// replaced by its handle.
func damagesOfChains(t *testing.T) (commands []string) {
	chain := regexp.MustCompile(`^\tchain (\S+) `)
	table := ""
	for _, line := range strings.Split(runNFT(t, "", "list", "ruleset"), "\n") {
		if rest, ok := strings.CutPrefix(line, "table "); ok {
			table, _, _ = strings.Cut(rest, " {")
		}
		if m := chain.FindStringSubmatch(line); m != nil {
			name := table + " " + m[1]
			commands = append(commands, "flush chain "+name, "delete rule "+name+" handle last")
		}
	}
	if len(commands) < 20 {
		t.Fatal("found only the chains of ", commands)
	}
	return commands
}

// withHandle replaces the word "last" in a command by the handle of the chain's last rule.
func withHandle(t *testing.T, command string) string {
	name, ok := strings.CutSuffix(command, " handle last")
	if !ok {
		return command
	}
	list := runNFT(t, "", "-a", "list", "chain", strings.TrimPrefix(name, "delete rule "))
	handles := regexp.MustCompile(`# handle (\d+)\n`).FindAllStringSubmatch(list, -1)
	return name + " handle " + handles[len(handles)-1][1]
}
