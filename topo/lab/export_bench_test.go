package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/topo"
)

// largeState returns the state of a lab with this many hosts on networks of 100 hosts. Each host has a forwarded
// port.
func largeState(tb testing.TB, hosts int) topo.State {
	tb.Helper()
	var b strings.Builder
	b.WriteString("name: large\nnetworks:\n")
	for n := range hosts / 100 {
		fmt.Fprintf(&b, "  n%d: {subnets: [10.%d.%d.0/24, \"fd00:%x::/64\"], nat: true}\n", n, n/250, n%250, n)
	}
	b.WriteString("hosts:\n")
	for h := range hosts {
		fmt.Fprintf(&b, "  h%d: {networks: [n%d], ports: [\"%d:80\"]}\n", h, h/100, 1000+h)
	}
	state, err := Compile(mustParse(tb, "large.yaml", b.String()))
	if err != nil {
		tb.Fatal(err)
	}
	return state
}

func BenchmarkExport(b *testing.B) {
	for _, hosts := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			state := largeState(b, hosts)
			b.ReportAllocs()
			for b.Loop() {
				if _, rest := Export("large", state); len(rest) > 0 {
					b.Fatal(rest[0])
				}
			}
		})
	}
}

// TestExportIsLinear: an export of ten times as many hosts allocates about ten times as
// often. The hosts are on the networks of one machine, have names in one hosts file and forwarded
// ports: what reads one of these lists once for each host would allocate a hundred times as often.
// .ci/linear also counts what allocates nothing.
func TestExportIsLinear(t *testing.T) {
	small, large := exportWork(t, 100), exportWork(t, 1000)
	if ratio := float64(large) / float64(small); ratio > 12 {
		t.Errorf("100 hosts: %d allocations, 1000 hosts: %d, %.1f times as many; want at most 12", small, large, ratio)
	}
}

func exportWork(t *testing.T, hosts int) uint64 {
	state := largeState(t, hosts)
	return uint64(testing.AllocsPerRun(1, func() { Export("large", state) }))
}
