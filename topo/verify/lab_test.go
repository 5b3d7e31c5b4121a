package verify

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

// upWithProber brings a lab up, and returns a prober with a short timeout.
func upWithProber(t *testing.T, text string) (lab.Topology, *prober) {
	t.Helper()
	topology := labtest.MustParse(t, "lab.yaml", text)
	var err error
	if err := topology.Fill(live.Machine{}); err != nil {
		t.Fatal(err)
	}
	want, err := lab.Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	k := openKernel(t, topology.Name)
	if _, err := k.Up(context.Background(), want, nil); err != nil {
		t.Fatal(err)
	}
	p := newProber(openHost(&topology), etcOf(&topology))
	p.timeout = time.Second // long enough for a busy machine
	t.Cleanup(func() { p.close() })
	return topology, p
}

// TestHairpin probes a host's own published port through its gateway. With br_netfilter, the
// diagnosis has to name the bridge port.
func TestHairpin(t *testing.T) {
	topology, p := upWithProber(t, labtest.PublishedLab)
	ctx := context.Background()
	if r := p.verify(ctx, topology, lab.Facts(topology)); !r.OK() {
		t.Fatalf("%+v", r.Results)
	}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		t.Skip("this kernel has no br_netfilter")
	}
	labtest.IP(t, "link set red-eth0 type bridge_slave hairpin off")
	for _, brNetfilter := range []string{"0", "1"} {
		for _, key := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
			if err := os.WriteFile("/proc/sys/net/bridge/"+key, []byte(brNetfilter), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := p.verify(ctx, topology, lab.Facts(topology))
		if brNetfilter == "0" {
			if !r.OK() {
				t.Errorf("%+v", r.Results)
			}
			continue
		}
		for _, x := range r.Results {
			want := "machine: bridge sw does not send a packet back out of its ingress port red-eth0 (hairpin off)"
			if got := strings.Join(x.Diagnosis, "; "); got != want {
				t.Errorf("%s: %s\nwant %s", x.title(), got, want)
			}
		}
	}
}

// openKernel opens a lab and takes it down after the test.
func openKernel(t testing.TB, name string) *live.Kernel {
	t.Helper()
	k, err := live.OpenKernel(context.Background(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := k.Down(context.Background(), nil); err != nil {
			t.Error(err)
		}
		k.Close()
	})
	return k
}
