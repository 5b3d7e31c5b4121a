//go:build linux

package nft_test

import (
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// allRules has a rule of every kind, and every map.
func allRules() []nft.Rule {
	var rules []nft.Rule
	for _, fam := range []struct{ net, net2, host, local, pub string }{
		{"192.168.15.0/24", "192.168.16.0/24", "192.168.15.2", "192.0.2.1", "198.51.100.7"},
		{"fd00:15::/64", "fd00:16::/64", "fd00:15::2", "2001:db8::1", "2001:db8:1::7"},
	} {
		rules = append(rules,
			nft.Masquerade{Source: prefix(fam.net)},
			nft.Masquerade{Source: prefix(fam.net), Out: "eth0"},
			nft.SourceNAT{Source: prefix(fam.net2), To: addr(fam.pub)},
			nft.SourceNAT{Source: prefix(fam.net2), Out: "eth0", To: addr(fam.pub)},
			nft.SourceNAT{Source: netip.PrefixFrom(addr(fam.host), addr(fam.host).BitLen()), To: addr(fam.pub)},
		)
		for _, in := range []string{"", "eth0"} {
			for _, a := range []netip.Addr{{}, addr(fam.local)} {
				f := nft.Forward{Proto: nft.TCP, Addr: a, In: in, Ports: nft.Port(80), To: addr(fam.host), ToPort: 8080}
				rules = append(rules, f)
				f.Proto, f.Ports, f.ToPort = nft.UDP, nft.Ports{First: 20000, Last: 29999}, 20000
				rules = append(rules, f)
				f.Proto, f.Ports, f.ToPort = nft.SCTP, nft.Ports{First: 100, Last: 103}, 200
				rules = append(rules, f)
			}
		}
	}
	return append(rules, nft.Masquerade{Out: "ppp0"}, nft.Masquerade{Source: prefix("0.0.0.0/0")}, nft.Masquerade{Source: prefix("::/0")}, nft.Isolate{In: "v-net-0", Out: "v-net-1"})
}

// TestReadsBack: law 9.
func TestReadsBack(t *testing.T) {
	c := dial(t)
	want := allRules()
	for _, r := range want {
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Apply("vnet", nil, want); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("nft", "-s", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	if diff := cmp.Diff(oneLine(nft.Text("vnet", want...)), oneLine(string(out))); diff != "" {
		t.Errorf("-ours +nft's:\n%s", diff)
	}
	got, err := c.Read("vnet")
	if err != nil {
		t.Fatal(err)
	}
	have := map[nft.Rule]bool{}
	for _, r := range got {
		have[r.Rule] = true
	}
	for _, r := range want {
		if !have[r] {
			t.Errorf("lost: %s", r)
		}
		delete(have, r)
	}
	for r := range have {
		t.Errorf("invented: %s", r)
	}
	if err := c.Apply("vnet", want, nil); err != nil {
		t.Fatal(err)
	}
}

// oneLine puts a set's elements on one line. How many nft prints on each depends
// on their type, and on its version.
func oneLine(text string) string { return regexp.MustCompile(`,\n\s+`).ReplaceAllString(text, ", ") }

func dial(t testing.TB) *nft.Conn {
	t.Helper()
	c, err := nft.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
