//go:build linux

package nft_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
)

// Kinds of packets that checkReach sends.
var (
	ipv4Kinds = []string{"tcp4", "udp4", "icmp4"}
	ipv6Kinds = []string{"tcp6", "udp6", "icmp6"}
	allKinds  = slices.Concat(ipv4Kinds, ipv6Kinds)
)

// checkReach checks which kinds of packets a host gets an answer to, from port 80 of two addresses.
func (w *testNet) checkReach(t *testing.T, what string, from *os.File, ipv4, ipv6 string, want ...string) {
	t.Helper()
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("no ping on this machine")
	}
	answered := make([]bool, len(allKinds))
	var all sync.WaitGroup
	for i, kind := range allKinds {
		address := ipv4
		if strings.HasSuffix(kind, "6") {
			address = ipv6
		}
		wait := 300 * time.Millisecond
		if slices.Contains(want, kind) {
			wait = answerTimeout
		}
		all.Go(func() { answered[i] = w.reaches(from, kind[:len(kind)-1], address, wait) })
	}
	all.Wait()
	for i, kind := range allKinds {
		if answered[i] != slices.Contains(want, kind) {
			t.Errorf("%s: %s gets an answer: %v", what, kind, answered[i])
		}
	}
}

// reaches reports whether a host gets an answer to one kind of packet.
func (w *testNet) reaches(from *os.File, proto, address string, wait time.Duration) bool {
	if proto != "icmp" {
		if strings.Contains(address, ":") {
			address = "[" + address + "]"
		}
		return w.connect(from, proto, address+":80", wait) != "no answer"
	}
	times, seconds := 1, "0.3"
	if wait == answerTimeout { // a busy machine loses packets
		times, seconds = 20, "1"
	}
	return nsfs.Do(from, func() (err error) {
		for range times {
			if err = exec.Command("ping", "-n", "-c", "1", "-W", seconds, address).Run(); err == nil {
				return nil
			}
		}
		return err
	}) == nil
}

// serveAll serves TCP and UDP on port 80 of hosts.
func (w *testNet) serveAll(hosts ...*os.File) {
	w.t.Helper()
	for _, h := range hosts {
		w.serve(h, "host", "tcp", ":80")
		w.serve(h, "host", "udp", ":80")
	}
}

// bridgeChains are the chains of tables of the family bridge.
var bridgeChains = []string{"same_port", "antispoof_input", "host_port", "router_port", "gateway_port"}

// withoutRule deletes the rules of a chain that contain text, calls check, and restores the ruleset. So a test shows
// that a packet is dropped by this rule.
func (w *testNet) withoutRule(table, chain, text string, check func()) {
	w.t.Helper()
	needNFT(w.t.(*testing.T))
	before := w.sh(w.machine, "nft list ruleset")
	if slices.Contains(bridgeChains, chain) {
		table = "bridge " + table
	} else {
		table = "inet " + table
	}
	handles := regexp.MustCompile(`(?m)^.*`+regexp.QuoteMeta(text)+`.* # handle (\d+)$`).
		FindAllStringSubmatch(w.sh(w.machine, "nft -a list chain "+table+" "+chain), -1)
	if len(handles) == 0 {
		w.t.Fatalf("chain %s has no rule with %q:\n%s", chain, text, before)
	}
	for _, h := range handles {
		w.sh(w.machine, "nft delete rule "+table+" "+chain+" handle "+h[1])
	}
	check()
	w.sh(w.machine, "nft -f - <<'E'\nflush ruleset\n"+before+"\nE")
}
