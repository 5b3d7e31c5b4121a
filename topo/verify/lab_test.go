package verify

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
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

// TestReasonsOfBridge checks the diagnosis of packets that are lost in a bridge: in a chain of the family bridge, with
// and without br_netfilter, and at a port that does not forward yet.
func TestReasonsOfBridge(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	topology, p := upWithProber(t, `
name: bridged
networks: {sw: {subnets: [10.0.7.0/24, "fd00:7::/64"]}}
hosts: {red: {networks: [sw]}, blue: {networks: [sw]}}
expect: ["red -> blue: ping", "red -> blue: tcp 7"]
`)
	diagnoses := func(want string) {
		t.Helper()
		ctx := context.Background()
		for _, x := range p.verify(ctx, topology, lab.Facts(topology)).Results {
			if got := strings.Join(x.Diagnosis, "; "); got != want {
				t.Errorf("%s: %s\nwant %s", x.title(), got, want)
			}
		}
	}
	nft := func(text string) {
		t.Helper()
		if out, err := exec.Command("nft", text).CombinedOutput(); err != nil {
			t.Fatalf("nft %s: %s", text, out)
		}
	}
	diagnoses("")
	for _, file := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		file = "/proc/sys/net/bridge/" + file
		if err := os.WriteFile(file, []byte("1"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	for _, hook := range []string{"prerouting", "forward"} {
		nft("add table bridge fw; add chain bridge fw f { type filter hook " + hook + " priority 0; policy drop; }; " +
			"add rule bridge fw f ether type arp accept; add rule bridge fw f icmpv6 type { 133, 135, 136 } accept")
		diagnoses("machine: dropped by the policy of chain bridge fw f")
		nft("delete table bridge fw")
	}
	labtest.IP(t, "link set blue-eth0 type bridge_slave state 1")
	diagnoses("red: port blue-eth0 of bridge sw (in machine) does not forward yet: the spanning tree is not ready")
}

// TestPingRefused proves with a firewall that a ping is refused, as TCP and UDP are.
func TestPingRefused(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	topology, p := upWithProber(t, `
name: refuses
networks: {sw: {subnets: [10.0.7.0/24, "fd00:7::/64"]}}
hosts: {red: {networks: [sw]}, blue: {networks: [sw]}}
expect: ["red -> blue: ping refused", "red -> blue tcp 7: refused"]
`)
	if out, err := exec.Command("ip", "netns", "exec", "blue", "nft", "add table inet fw; "+
		"add chain inet fw i { type filter hook input priority 0; }; "+
		"add rule inet fw i meta l4proto tcp reject with icmpx admin-prohibited; "+
		"add rule inet fw i icmp type echo-request reject with icmpx admin-prohibited; "+
		"add rule inet fw i icmpv6 type echo-request reject with icmpx admin-prohibited").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r := p.verify(context.Background(), topology, lab.Facts(topology)); !r.OK() || len(r.Results) != 4 {
		t.Errorf("%+v", r.Results)
	}
}
