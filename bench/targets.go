package main

import (
	"fmt"
	"strings"
)

// A target is a limit for a result.
type target struct {
	name  string
	unit  string // "" for a ratio
	isMax bool   // limit is the largest allowed value, not the smallest
	limit float64
	value func(results) (float64, error)
}

// ofVnet returns vnet's figure of a workload.
func ofVnet(workload, name string) figure { return figure{workload, vnetTool, name} }

// timesVnet returns how many times as long as vnet another tool takes for up.
func timesVnet(workload, tool string) func(results) (float64, error) {
	return ratioOf(figure{workload, tool, up}, ofVnet(workload, up))
}

func ratioOf(x, y figure) func(results) (float64, error) {
	return func(r results) (float64, error) { return r.ratio(x, y) }
}

// perHost returns the ratio of x/hosts to y/of.
func perHost(x figure, hosts int, y figure, of int) func(results) (float64, error) {
	return func(r results) (float64, error) {
		v, err := r.ratio(x, y)
		return v * float64(of) / float64(hosts), err
	}
}

func valueOf(f figure, scale float64) func(results) (float64, error) {
	return func(r results) (float64, error) {
		v, err := r.median(f)
		return v * scale, err
	}
}

const (
	small, hundred, thousand, tenThousand = "nat 2", "star 100", "star 1000", "star 10x1000"
	manyPorts, tenPorts, noPorts          = "forwards 10000", "forwards 10", "forwards 1"
)

func targets() []target {
	return []target{
		{"a star of 1000: up, × the floor", "", true, 1.25, ratioOf(ofVnet(thousand, up), figure{thousand, floorTool, up})},
		{"a star of 1000: the script, × vnet", "", false, 25, timesVnet(thousand, scriptTool)},
		{"a star of 1000: ip -batch, × vnet", "", false, 4, timesVnet(thousand, batchTool)},
		{"a star of 1000: mininet, × vnet", "", false, 12, timesVnet(thousand, mininetTool)},
		{"a star of 1000: CNI, × vnet", "", false, 7, timesVnet(thousand, cniTool)},
		{"a star of 1000: CNI with ipMasq, × vnet", "", false, 18, timesVnet(thousand, cniMasqTool)},
		{"the small case: up, ms above the floor", "ms", true, 10,
			func(r results) (float64, error) { return r.difference(ofVnet(small, up), figure{small, floorTool, up}) }},
		{"the small case: the script, × vnet", "", false, 8, timesVnet(small, scriptTool)},
		{"a host of 1000, × a host of 100", "", true, 1.3, perHost(ofVnet(thousand, up), 1000, ofVnet(hundred, up), 100)},
		{"a host of 10 × 1000, × a host of 1000", "", true, 1.3,
			perHost(ofVnet(tenThousand, up), 10000, ofVnet(thousand, up), 1000)},
		{"a star of 1000: up again, × the first", "", true, 0.15, ratioOf(ofVnet(thousand, again), ofVnet(thousand, up))},
		{"a star of 1000: one more host, × the first up", "", true, 0.2,
			ratioOf(ofVnet(thousand, add), ofVnet(thousand, up))},
		{"a star of 1000: down until gone, × the floor", "", true, 1.25,
			ratioOf(ofVnet(thousand, down), figure{thousand, floorTool, down})},
		{"up directly after down, repeated", "times", false, 100, valueOf(figure{"cycles", vnetTool, cycles}, 1)},
		{"connections through the last of 10 000 forwards, × a single forward", "", false, 0.9,
			ratioOf(figure{manyPorts, upMethod, rate}, figure{noPorts, upMethod, rate})},
		{"connections through the last of 10 000 forwards, × iptables-nft", "", false, 4,
			ratioOf(figure{manyPorts, upMethod, rate}, figure{manyPorts, iptablesNftMethod, rate})},
		{"connections through the last of 10 000 forwards, × iptables-legacy", "", false, 4,
			ratioOf(figure{manyPorts, upMethod, rate}, figure{manyPorts, legacyMethod, rate})},
		{"one more forward with 10 000, × with 10: nat add", "", true, 1.5,
			ratioOf(figure{manyPorts, natMethod, onePort}, figure{tenPorts, natMethod, onePort})},
		{"one more forward with 10 000, × with 10: up of the changed lab", "", true, 1.5,
			ratioOf(figure{manyPorts, upMethod, onePort}, figure{tenPorts, upMethod, onePort})},
		{"connections through a forward, × without the guard", "", false, 0.97,
			valueOf(figure{guardWorkload, guardRules, rate}, 1)},
		{"MB per second through a forward, × without the guard", "", false, 0.97,
			valueOf(figure{guardWorkload, guardRules, flow}, 1)},
		{"connections through a forward, × without any rule of type filter", "", false, 0.97,
			valueOf(figure{guardWorkload, allRules, rate}, 1)},
		{"MB per second through a forward, × without any rule of type filter", "", false, 0.97,
			valueOf(figure{guardWorkload, allRules, flow}, 1)},
		{"a star of 1000: maximum memory", "MB", true, 40, valueOf(ofVnet(thousand, memory), 1)},
		{"the stripped binary", "MB", true, 8, valueOf(figure{"binary", vnetTool, "size"}, 1)},
		{"verify all pairs of 200", "s", true, 10, valueOf(ofVnet("verify 200", verify), 1e-3)},
	}
}

// writeTargets writes a table of the targets, and whether the results meet them.
func (r results) writeTargets(b *strings.Builder) {
	b.WriteString("\n## Targets\n\n| | target | result | |\n|---|--:|--:|---|\n")
	for _, a := range targets() {
		sign := "≥"
		if a.isMax {
			sign = "≤"
		}
		result, verdict := "–", "not measured"
		if v, err := a.value(r); err == nil {
			result, verdict = formatNumber(v), "not met"
			if a.isMax && v <= a.limit || !a.isMax && v >= a.limit {
				verdict = "met"
			}
		}
		fmt.Fprintf(b, "| %s | %s %v %s | %s | %s |\n", a.name, sign, a.limit, a.unit, result, verdict)
	}
	r.writeFloorScaling(b)
}

// writeFloorScaling writes the floor's ratios, to compare with the targets per host.
func (r results) writeFloorScaling(b *strings.Builder) {
	f := func(workload string) figure { return figure{workload, floorTool, up} }
	if v, err := perHost(f(thousand), 1000, f(hundred), 100)(r); err == nil {
		fmt.Fprintf(b, "\nFor the floor, a host of 1000 costs %s × a host of 100", formatNumber(v))
		if v, err := perHost(f(tenThousand), 10000, f(thousand), 1000)(r); err == nil {
			fmt.Fprintf(b, ", and a host of 10 × 1000 costs %s × a host of 1000", formatNumber(v))
		}
		b.WriteString(".\n")
	}
}

// formatNumber formats a number with three significant digits.
func formatNumber(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
