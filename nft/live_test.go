//go:build linux

package nft_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/testmain"
	"github.com/vnet-lab/vnet/nft"
)

func TestMain(m *testing.M) { os.Exit(testmain.Run(m)) }

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// allRules returns rules of every kind except Fastpath. They use every map.
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
	return append(rules, nft.Masquerade{Out: "ppp0"}, nft.Masquerade{Source: prefix("0.0.0.0/0")},
		nft.Masquerade{Source: prefix("::/0")}, nft.Isolate{In: "v-net-0", Out: "v-net-1"},
		nft.Isolate{In: "v-net-0", Out: "v-net-0"}, nft.Own{Link: "v-net-0"}, nft.Own{Link: "v-net-1"},
		nft.Closed{Link: "v-net-0"}, nft.Allow{Link: "v-net-0", Source: prefix("10.0.0.0/8")},
		nft.Allow{Link: "v-net-0", Source: prefix("fd00::/8")}, nft.Allow{Link: "v-net-1", Source: prefix("0.0.0.0/0")},
		nft.Gate{Link: "v-net-0", MAC: nft.MAC{2, 0, 0, 0, 0, 1}}, nft.Hairpin{Port: "red-eth0"},
		nft.Antispoof{Port: "red-eth0"}, nft.Antispoof{Port: "r-eth0", Routes: true},
		nft.Antispoof{Port: "g-eth0", Routes: true, Gateway: true},
		nft.PortAddress{Port: "red-eth0", MAC: nft.MAC{2, 0, 0, 0, 0, 1}},
		nft.PortAddress{Port: "red-eth0", MAC: nft.MAC{2, 0, 0, 0, 0, 1}, Addr: addr("10.0.0.2")},
		nft.PortAddress{Port: "red-eth0", MAC: nft.MAC{2, 0, 0, 0, 0, 1}, Addr: addr("fec0::2")},
		nft.Tenant{Addr: addr("10.0.0.2")}, nft.Tenant{Addr: addr("fd00:15::2")})
}

// TestReadsBack checks that Read returns the rules of Apply, and that nft prints the same text as Text.
func TestReadsBack(t *testing.T) {
	needNFT(t)
	if _, err := os.Stat("/etc/protocols"); err != nil {
		t.Skip("no /etc/protocols, which nft needs to print protocol names")
	}
	c := dial(t)
	want := allRules()
	for _, r := range want {
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
	}
	mustApply(t, c, nil, want)
	if diff := cmp.Diff(oneLine(nft.Text("vnet", want...)),
		oneLine(runNFT(t, "", "-s", "list", "ruleset"))); diff != "" {
		t.Errorf("-Text +nft's:\n%s", diff)
	}
	sameRules(t, c, want)
	mustApply(t, c, want, nil)
	mustHaveNoTables(t, c)
}

// TestReloads checks that nft -f restores the table from its listing, and that the restored table can be read and
// changed.
func TestReloads(t *testing.T) {
	needNFT(t)
	c := dial(t)
	want := allRules()
	mustApply(t, c, nil, want)
	list := runNFT(t, "", "list", "ruleset")
	runNFT(t, "flush ruleset\n"+list, "-f", "-")
	if diff := cmp.Diff(list, runNFT(t, "", "list", "ruleset")); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	sameRules(t, c, want)
	mustApply(t, c, want[:len(want)/2], nil)
	sameRules(t, c, want[len(want)/2:])
	mustApply(t, c, want[len(want)/2:], nil)
	mustHaveNoTables(t, c)
}

// TestTextCompilesToSameBytecode checks that nft compiles Text to the same expressions as Apply sends.
func TestTextCompilesToSameBytecode(t *testing.T) {
	needNFT(t)
	c := dial(t)
	mustApply(t, c, nil, allRules())
	ours := bytecode(t)
	runNFT(t, "flush ruleset\n"+nft.Text("vnet", allRules()...), "-f", "-")
	if diff := cmp.Diff(bytecode(t), ours); diff != "" {
		t.Errorf("-nft's +ours:\n%s", diff)
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// bytecode returns the kernel's expressions of the rules, without handles.
func bytecode(t *testing.T) string {
	t.Helper()
	var kept []string
	for _, line := range strings.Split(runNFT(t, "", "--debug=netlink", "list", "ruleset"), "\n") {
		// Skip byte order conversions of single bytes.
		if strings.HasPrefix(line, "  [ ") && !strings.Contains(line, ", 2, 1) ]") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// TestScript checks that nft with a script has the same result as Apply, for changes between random sets of rules.
func TestScript(t *testing.T) {
	needNFT(t)
	c := dial(t)
	all := allRules()
	random := rand.New(rand.NewPCG(1, 2))
	some := func() []nft.Rule {
		share := random.IntN(4)
		var rules []nft.Rule
		for _, r := range all {
			if random.IntN(4) < share {
				rules = append(rules, r)
			}
		}
		return rules
	}
	rounds := 30
	if testing.Short() {
		rounds = 6
	}
	var have []nft.Rule
	for range rounds {
		want := some()
		script := nft.Script("vnet", have, want)
		if (script == "") != sameSet(have, want) {
			t.Fatalf("script %q", script)
		}
		if script != "" {
			runNFT(t, script, "-f", "-")
		}
		sameRules(t, c, want)
		byScript := listing(t)
		if script != "" { // the same change with Apply
			runNFT(t, "flush ruleset\n", "-f", "-")
			mustApply(t, c, nil, have)
			mustApply(t, c, without(have, want), without(want, have))
			sameRules(t, c, want)
			if diff := cmp.Diff(byScript, listing(t)); diff != "" {
				t.Fatalf("-script +Apply:\n%s\n%s", diff, script)
			}
		}
		have = want
	}
	runNFT(t, "flush ruleset\n", "-f", "-")
}

// listing returns the blocks that nft prints, sorted: the order in which sets and chains were created does not matter.
func listing(t *testing.T) []string {
	t.Helper()
	return sortedBlocks(runNFT(t, "", "-s", "list", "ruleset"))
}

// sortedBlocks returns the blocks of the tables and the lines of their sets, sorted.
func sortedBlocks(text string) []string {
	list := regexp.MustCompile(`(^|\n}\n)table \w+ vnet {\n`).ReplaceAllString(oneLine(text), "\n\n")
	blocks := strings.Split(strings.TrimSpace(list), "\n\n")
	for i, b := range blocks {
		lines := strings.FieldsFunc(b, func(r rune) bool { return strings.ContainsRune("{},\n\t", r) })
		for i, l := range lines {
			lines[i] = strings.TrimSpace(l)
		}
		if !strings.Contains(b, "chain ") {
			slices.Sort(lines)
		}
		blocks[i] = strings.Join(lines, "\n")
	}
	slices.Sort(blocks)
	return blocks
}

func without(rules, others []nft.Rule) []nft.Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r nft.Rule) bool { return slices.Contains(others, r) })
}

func sameSet(a, b []nft.Rule) bool { return len(without(a, b)) == 0 && len(without(b, a)) == 0 }

// sameRules compares with the rules in the kernel.
func sameRules(t *testing.T, c *nft.Conn, want []nft.Rule) {
	t.Helper()
	counted, err := c.Read("vnet")
	if err != nil {
		t.Fatal(err)
	}
	var got []nft.Rule
	for _, r := range counted {
		got = append(got, r.Rule)
	}
	for _, r := range without(want, got) {
		t.Errorf("missing: %s", r)
	}
	for _, r := range without(got, want) {
		t.Errorf("unexpected: %s", r)
	}
}

// kernelSince reports whether the kernel has this version or a later one.
func kernelSince(t *testing.T, major, minor int) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var have [2]int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &have[0], &have[1]); err != nil {
		t.Fatal(err)
	}
	return slices.Compare(have[:], []int{major, minor}) >= 0
}

// needNFT skips a test if nft is not installed.
func needNFT(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine to compare with")
	}
}

func runNFT(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ranges := regexp.MustCompile(`map @dnat\S*_range`); err != nil &&
		bytes.Contains(out, []byte("Operation not supported")) && ranges.Match(out) {
		// nft 1.0.6 adds a byte order conversion for the protocol, a single byte, in lookups in interval maps.
		// Linux 6.12.117 and others refuse it.
		if err := exec.Command("nft", "flush", "ruleset").Run(); err != nil {
			t.Error(err)
		}
		t.Skipf("this nft cannot load its own listing on this kernel: %s", out)
	}
	if err != nil {
		t.Fatalf("nft %q: %v\n%s\n%s", args, err, out, stdin)
	}
	return string(out)
}

// oneLine joins the elements of a set into one line. The number per line depends on their type and on nft's version.
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
