package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/vnet-lab/vnet/nsfs"
)

// guardRounds is how often the rules are added and deleted.
const guardRounds = 15

// A guardJob measures the cost of the guard, or of all filter rules: the same connections through a forwarded port,
// with and without the guard's table, or with and without all chains of type filter. The NAT rules stay.
type guardJob struct {
	Up  []string
	All bool // measure all chains of type filter, not only the guard
}

func (g guardJob) run() (measurement, error) {
	w, err := newTestnet(forwardNetwork())
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if err := timeCommand(measurement{}, up, g.Up); err != nil {
		return nil, err
	}
	if err := w.check(nil); err != nil {
		return nil, err
	}
	with, err := runNFT("list", "ruleset")
	if err != nil {
		return nil, err
	}
	if g.All {
		err = deleteFilters()
	} else {
		err = loadScript("delete table inet " + guardTable + "\n")
	}
	if err != nil {
		return nil, err
	}
	without, err := runNFT("list", "ruleset")
	if err != nil {
		return nil, err
	}
	return g.compare(w, with, without)
}

// compare returns the medians of figures with the first ruleset, as ratios to those with the second.
func (g guardJob) compare(w *testnet, with, without string) (measurement, error) {
	ns, err := nsfs.Open(w.network.Hosts[0].Name)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	var rates, flows []float64
	for range guardRounds {
		var c, mb [2]float64
		for i, ruleset := range []string{with, without} {
			if err := loadScript("flush ruleset\n" + ruleset); err != nil {
				return nil, err
			}
			if c[i], mb[i], err = measureForward(w.outside, ns, firstPort); err != nil {
				return nil, err
			}
		}
		rates, flows = append(rates, c[0]/c[1]), append(flows, mb[0]/mb[1])
	}
	return measurement{rate: medianOf(rates), flow: medianOf(flows)}, nil
}

// deleteFilters deletes all base chains of type filter.
func deleteFilters() error {
	text, err := runNFT("-j", "list", "chains")
	if err != nil {
		return err
	}
	var list struct {
		Nftables []struct {
			Chain struct{ Family, Table, Name, Type string }
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	var script strings.Builder
	for _, o := range list.Nftables {
		if c := o.Chain; c.Type == "filter" {
			chain := fmt.Sprintf("chain %s %s %s\n", c.Family, c.Table, c.Name)
			script.WriteString("flush " + chain + "delete " + chain)
		}
	}
	if script.Len() == 0 {
		return fmt.Errorf("the lab has no chains of type filter: %s", text)
	}
	return loadScript(script.String())
}

func loadScript(text string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft -f: %w\n%s", err, out)
	}
	return nil
}

func runNFT(args ...string) (string, error) {
	out, err := exec.Command("nft", args...).Output()
	if err != nil {
		return "", fmt.Errorf("nft %v: %w", args, err)
	}
	return string(out), nil
}

// guardTable is the table of the guard, nft.GuardTable.
const guardTable = "vnet-guard"

// guardWorkload is the name of the workload in the results; guardRules and allRules are in the place of tools.
const guardWorkload, guardRules, allRules = "guard", "the guard", "all rules of type filter"

// runGuard measures the cost of the guard and of all filter rules.
func (b *bench) runGuard() {
	if _, err := exec.LookPath("nft"); err != nil {
		b.missing = append(b.missing, "guard (no nft on this machine)")
		return
	}
	for _, rules := range []string{guardRules, allRules} {
		b.measure(guardWorkload, rules, func(dir folder) job {
			file := dir.write("lab.yaml", labWith([]int{firstPort}))
			return job{Guard: &guardJob{Up: []string{b.binDir + "/vnet", "up", file}, All: rules == allRules}}
		})
	}
}
