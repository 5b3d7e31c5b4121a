//go:build linux

package topo

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// publishedLab has a published port that its own host reaches through its gateway.
const publishedLab = `
name: published
networks: {sw: {subnets: [10.0.5.0/24, "fd00:5::/64"], nat: true}}
hosts:
  red: {networks: [sw], ports: ["8080:80"]}
expect:
  - red -> 10.0.5.1 tcp 8080: as 10.0.5.1
  - red -> fd00:5::1 tcp 8080: as fd00:5::1
`

// upWithProber brings a lab up, and returns a prober with a short timeout.
func upWithProber(t *testing.T, text string) (Topology, *prober) {
	t.Helper()
	name, want := compiled(t, text)
	k := openKernel(t, name)
	if _, err := k.Up(context.Background(), want, nil); err != nil {
		t.Fatal(err)
	}
	lab := mustParse(t, "lab.yaml", []byte(text))
	p := newProber(openHost(&lab), func(host string) string { return "/run/etc-netns/" + host })
	p.timeout = time.Second // long enough for a busy machine
	t.Cleanup(func() { p.close() })
	return lab, p
}

// TestHairpin probes a host's own published port through its gateway. With br_netfilter, the
// diagnosis has to name the bridge port.
func TestHairpin(t *testing.T) {
	lab, p := upWithProber(t, publishedLab)
	ctx := context.Background()
	if r := p.verify(ctx, lab, Facts(lab)); !r.OK() {
		t.Fatalf("%+v", r.Results)
	}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		t.Skip("this kernel has no br_netfilter")
	}
	ip(t, "link set red-eth0 type bridge_slave hairpin off")
	for _, brNetfilter := range []string{"0", "1"} {
		for _, key := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
			if err := os.WriteFile("/proc/sys/net/bridge/"+key, []byte(brNetfilter), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := p.verify(ctx, lab, Facts(lab))
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
