//go:build linux

package member

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
)

func BenchmarkOne(b *testing.B) {
	n := Network{Name: "bench", Bridge: "br9", DefaultRoute: true, Masquerade: true, Subnets: testSubnets()}
	defer Remove(context.Background(), "bench")
	ns := newNS(b)
	var attached, detached time.Duration
	for i := range b.N {
		start := time.Now()
		m := Member{ID: fmt.Sprint(i), Link: "eth0", NS: ns, Ports: []Port{{Proto: nft.TCP, HostPort: 8080, Port: 80}}}
		attach(b, n, m)
		mid := time.Now()
		if err := Detach(context.Background(), "bench", m.id()); err != nil {
			b.Fatal(err)
		}
		attached += mid.Sub(start)
		detached += time.Since(mid)
	}
	b.ReportMetric(float64(attached.Milliseconds())/float64(b.N), "ms/attach")
	b.ReportMetric(float64(detached.Milliseconds())/float64(b.N), "ms/detach")
}
