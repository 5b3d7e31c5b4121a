//go:build linux

package nft_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// fastpaths returns the fast paths between the test network's bridge and eth0.
func fastpaths() []nft.Rule {
	return []nft.Rule{
		nft.Fastpath{Device: "eth0"}, nft.Fastpath{Device: "v-net-0"},
		nft.Fastpath{Device: "veth-red", Port: true}, nft.Fastpath{Device: "veth-blue", Port: true},
	}
}

// newFastpathNet returns a testNet. It skips the test on a kernel without flowtables.
func newFastpathNet(t testing.TB) *testNet {
	t.Helper()
	w := newTestNet(t)
	err := w.nft.Apply("vnet", nil, fastpaths()[:1])
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("this kernel has no flowtables: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.apply(fastpaths()[:1], nil)
	return w
}

// TestFastpathReadsBack checks that nft prints the expected text, that the scripts have the same effect as Apply, and
// that adding a device does not change the rest.
func TestFastpathReadsBack(t *testing.T) {
	needNFT(t)
	w := newFastpathNet(t)
	w.sh(w.machine, "ip link add third type bridge; ip link add 4th.5-x type bridge")
	devices := append(fastpaths(), nft.Fastpath{Device: "third"}, nft.Fastpath{Device: "4th.5-x"})
	others := []nft.Rule{nft.Isolate{In: "third", Out: "eth0"}, nft.Masquerade{Source: prefix("192.168.15.0/24")}}
	all := slices.Concat(others, devices)
	thirdAsPort := nft.Fastpath{Device: "third", Port: true}
	sets := [][]nft.Rule{devices[:2], devices[:5], all, append(others, devices[1:]...), append(others, thirdAsPort),
		all, others, devices, devices[5:], devices[2:3], nil}
	var have []nft.Rule
	for _, want := range sets {
		w.apply(without(have, want), without(want, have))
		w.sameRules(want)
		list := sortedBlocks(unquoteDevices(w.sh(w.machine, "nft -s list ruleset")))
		if diff := cmp.Diff(sortedBlocks(unquoteDevices(nft.Text("vnet", want...))), list); diff != "" {
			t.Errorf("-Text +nft's:\n%s", diff)
		}
		w.sh(w.machine, "nft flush ruleset")
		w.apply(nil, have)
		if script := nft.Script("vnet", have, want); script != "" {
			w.sh(w.machine, "nft -f - <<'.'\n"+script+".")
		}
		w.sameRules(want)
		if diff := cmp.Diff(list, sortedBlocks(unquoteDevices(w.sh(w.machine, "nft -s list ruleset")))); diff != "" {
			t.Errorf("-Apply +script:\n%s", diff)
		}
		have = want
	}
}

// unquoteDevices removes the quotes around the names of a flowtable's devices, which some versions of nft omit.
func unquoteDevices(text string) string {
	return regexp.MustCompile(`devices = \{ .* \}`).ReplaceAllStringFunc(text, func(line string) string {
		return strings.ReplaceAll(line, `"`, "")
	})
}

// sameRules compares with the rules of the test network's table.
func (w *testNet) sameRules(want []nft.Rule) {
	w.t.Helper()
	got := w.rules()
	if missing, unexpected := without(want, got), without(got, want); len(missing)+len(unexpected) > 0 {
		w.t.Errorf("missing: %v, unexpected: %v", missing, unexpected)
	}
}

// TestFastpathDevices checks devices that do not exist: the kernel refuses them by name, or (since Linux 6.16) waits
// for them. It also checks deleted devices: their fast path is deleted, or stays for a new device of the same name.
func TestFastpathDevices(t *testing.T) {
	w := newFastpathNet(t)
	w.apply(nil, fastpaths())
	absent := nft.Fastpath{Device: "absent0"}
	switch err := w.nft.Apply("vnet", nil, []nft.Rule{absent}); {
	case err == nil: // Linux 6.16
		w.sameRules(append(fastpaths(), absent))
		w.apply([]nft.Rule{absent}, nil)
	case !errors.Is(err, fs.ErrNotExist):
		t.Error(err)
	default:
		if want := "add device absent0 of flowtable inet vnet fastpath: no such file or directory"; err.Error() != want {
			t.Errorf("%s\nwant %s", err, want)
		}
	}
	w.sameRules(fastpaths())
	w.sh(w.machine, "ip link del eth0")
	remaining := w.rules()
	if len(without(remaining, fastpaths())) > 0 || len(without(fastpaths()[1:], remaining)) > 0 {
		t.Errorf("rules after deleting eth0: %v", remaining)
	}
	w.sh(w.machine, "ip link add eth0 type bridge")
	w.apply(nil, fastpaths())
	w.sameRules(fastpaths())
	w.apply(fastpaths(), nil)
	if tables, err := w.nft.Tables(); err != nil || len(tables) > 0 {
		t.Errorf("tables %q remain, %v", tables, err)
	}
}

// TestManyFastpaths uses more devices than one message may have, and a longer list than the kernel's usual replies.
func TestManyFastpaths(t *testing.T) {
	w := newFastpathNet(t)
	var batch strings.Builder
	var rules []nft.Rule
	for i := range 400 {
		name := fmt.Sprintf("many-device%04d", i)
		fmt.Fprintf(&batch, "link add %s type bridge\n", name)
		rules = append(rules, nft.Fastpath{Device: name})
	}
	w.sh(w.machine, "ip -batch - <<'.'\n"+batch.String()+".")
	w.apply(nil, rules)
	w.sameRules(rules)
	w.apply(rules[:150], nil)
	w.sameRules(rules[150:])
	w.apply(rules[150:], nil)
}

// TestFastpath checks that packets of established connections no longer take the normal forwarding path, and that their
// addresses stay the same.
func TestFastpath(t *testing.T) {
	needNFT(t)
	for _, tt := range []struct{ network, address, want string }{
		{"tcp4", "10.9.0.2:7", "10.9.0.1"}, {"udp4", "10.9.0.2:7", "10.9.0.1"},
		{"tcp6", "[2001:db8:9::2]:7", "2001:db8:9::1"}, {"udp6", "[2001:db8:9::2]:7", "2001:db8:9::1"},
	} {
		t.Run(tt.network, func(t *testing.T) {
			w := newFastpathNet(t)
			w.countSlowPath()
			w.echo(w.outside, tt.network, ":7")
			w.apply(nil, masquerades())
			const requests = 100
			slow := w.open(w.red, tt.network, tt.address)
			w.exchangeTimes(slow, requests, tt.want)
			before := w.slowPathPackets()
			if before < 2*requests {
				t.Errorf("%d packets took the normal path, want at least %d", before, 2*requests)
			}
			w.apply(nil, fastpaths())
			// A connection established before is offloaded too.
			both := []net.Conn{slow, w.open(w.red, tt.network, tt.address)}
			for _, c := range both {
				w.exchangeTimes(c, 5, tt.want)
				before := w.slowPathPackets()
				w.exchangeTimes(c, requests, tt.want)
				if n := w.slowPathPackets() - before; n > requests/10 {
					t.Errorf("%d of %d packets took the normal path", n, 2*requests)
				}
			}
			// Count packets instead of checking the flag [OFFLOAD]: Linux 7.3 does not set it for TCP over IPv6.
			before = w.slowPathPackets()
			for range requests / 2 {
				for _, c := range both {
					w.exchangeTimes(c, 1, tt.want)
				}
			}
			if n := w.slowPathPackets() - before; n > requests/10 {
				t.Errorf("both connections: %d of %d packets took the normal path: %q", n, 2*requests,
					w.conntrackLines(""))
			}
		})
	}
}

// TestFastpathNeedsBoth checks that connections over a link without a fast path are not offloaded.
func TestFastpathNeedsBoth(t *testing.T) {
	needNFT(t)
	w := newFastpathNet(t)
	w.countSlowPath()
	w.echo(w.outside, "tcp4", ":7")
	w.apply(nil, append(masquerades(), fastpaths()[1:]...))
	w.exchangeTimes(w.open(w.red, "tcp4", "10.9.0.2:7"), 50, "10.9.0.1")
	if n := w.slowPathPackets(); n < 100 {
		t.Errorf("%d packets took the normal path, want at least 100", n)
	}
}

// TestFastpathIgnoresBridgedTraffic checks that bridged packets are not offloaded, even with bridge-nf-call-iptables.
func TestFastpathIgnoresBridgedTraffic(t *testing.T) {
	w := newFastpathNet(t)
	w.setBridgeNF("1")
	w.echo(w.blue, "tcp4", ":7")
	w.apply(nil, append(masquerades(), fastpaths()...))
	w.exchangeTimes(w.open(w.red, "tcp4", "192.168.15.3:7"), 20, "192.168.15.2")
	if offloaded := w.conntrackLines("[OFFLOAD]"); len(offloaded) > 0 {
		t.Errorf("offloaded: %q", offloaded)
	}
}

// TestFastpathEndsWithRule checks that offloaded connections do not continue to use deleted rules.
func TestFastpathEndsWithRule(t *testing.T) {
	forward := nft.Forward{Proto: nft.UDP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 7}
	other := nft.Forward{Proto: nft.UDP, Ports: nft.Port(8081), To: addr("192.168.15.2"), ToPort: 7}
	for what, change := range map[string]struct {
		del, add []nft.Rule
		to       string
	}{
		"forward deleted": {del: []nft.Rule{forward}, to: "10.9.0.1:8080"},
		"all deleted":     {del: append(fastpaths(), forward), to: "10.9.0.1:8080"},
		"links isolated":  {add: []nft.Rule{nft.Isolate{In: "eth0", Out: "v-net-0"}}, to: "192.168.15.2:7"},
		"network closed":  {add: []nft.Rule{nft.Closed{Link: "v-net-0"}}, to: "192.168.15.2:7"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newFastpathNet(t)
			w.sh(w.outside, "ip route replace 192.168.15.0/24 via 10.9.0.1")
			w.echo(w.red, "udp4", ":7")
			w.apply(nil, append(fastpaths(), forward))
			client := w.open(w.outside, "udp4", change.to)
			w.exchangeTimes(client, 5, "10.9.0.2")
			w.apply(nil, []nft.Rule{other})
			w.exchangeTimes(client, 5, "10.9.0.2")
			w.waitOffloaded(client, "10.9.0.2")
			w.apply(change.del, change.add)
			if got := exchange(client, 200*time.Millisecond); got != "no answer" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// waitOffloaded exchanges packets until the connection is offloaded. A connection of a deleted flowtable can be
// offloaded again only after the kernel has removed the old flowtable.
func (w *testNet) waitOffloaded(c net.Conn, from string) {
	w.t.Helper()
	for range 1000 {
		if len(w.conntrackLines("[OFFLOAD]")) > 0 {
			return
		}
		w.exchangeTimes(c, 1, from)
	}
	w.t.Errorf("the connection is not offloaded: %q", w.conntrackLines(""))
}

// countSlowPath adds a table that counts packets on the normal forwarding path.
func (w *testNet) countSlowPath() {
	w.t.Helper()
	w.sh(w.machine, `nft 'table inet watch { chain forward { type filter hook forward priority -200;
		meta l4proto { tcp, udp } counter; }; }'`)
}

// slowPathPackets returns the counter of countSlowPath.
func (w *testNet) slowPathPackets() int {
	w.t.Helper()
	n, err := strconv.Atoi(regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(w.sh(w.machine,
		"nft list table inet watch"))[1])
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// echo replies to each line with the client's address, and keeps the connection open.
func (w *testNet) echo(ns *os.File, network, address string) {
	w.t.Helper()
	if strings.HasPrefix(network, "udp") {
		w.serve(ns, "echo", network, address)
		return
	}
	err := nsfs.Do(ns, func() error {
		l, err := net.Listen(network, address)
		if err != nil {
			return err
		}
		w.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go echoLines(c)
			}
		}()
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func echoLines(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		fmt.Fprintf(c, "echo %s\n", hostOf(c.RemoteAddr()))
	}
}

// open opens a connection, which stays open until the test ends.
func (w *testNet) open(ns *os.File, network, address string) net.Conn {
	w.t.Helper()
	var c net.Conn
	err := nsfs.Do(ns, func() (err error) {
		c, err = net.DialTimeout(network, address, answerTimeout)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// exchangeTimes sends requests and checks that the server sees the client address from.
func (w *testNet) exchangeTimes(c net.Conn, times int, from string) {
	w.t.Helper()
	for range times {
		got := ""
		if _, udp := c.(*net.UDPConn); udp {
			got = exchange(c, answerTimeout)
		} else {
			c.SetDeadline(time.Now().Add(answerTimeout))
			fmt.Fprintln(c, "?")
			line, _ := bufio.NewReader(c).ReadString('\n')
			got = strings.TrimSpace(line)
		}
		if got != "echo "+from {
			w.t.Fatalf("got %q, want %q", got, "echo "+from)
		}
	}
}
