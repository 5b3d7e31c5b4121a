package verify

import (
	"context"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
)

// star is a network with 200 hosts.
const star = `
name: star
networks: {sw: {subnets: [10.0.0.0/16]}}
hosts:
  h: {networks: [sw], repeat: 200}
`

// BenchmarkVerifyAllPairs lets 200 hosts on one network ping each other in parallel: 39 800 pings.
func BenchmarkVerifyAllPairs(b *testing.B) {
	name, want := labtest.Compiled(b, star)
	k := openKernel(b, name)
	if _, err := k.Up(context.Background(), want, nil); err != nil {
		b.Fatal(err)
	}
	lab := labtest.MustParse(b, "lab.yaml", []byte(star))
	facts := AllPairs(lab)
	for b.Loop() {
		if r := Verify(context.Background(), lab, facts); !r.OK() {
			b.Fatal(r.Summary())
		}
	}
	b.ReportMetric(float64(len(facts)), "pings/op")
}
