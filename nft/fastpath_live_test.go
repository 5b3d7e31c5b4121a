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

// fast are the fast paths of the world's two ways.
func fast() []nft.Rule {
	return []nft.Rule{
		nft.Fastpath{Device: "eth0"}, nft.Fastpath{Device: "v-net-0"},
		nft.Fastpath{Device: "veth-red", Port: true}, nft.Fastpath{Device: "veth-blue", Port: true},
	}
}

// newFastWorld is the world, on a kernel that has flowtables.
func newFastWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	err := w.nft.Apply("vnet", nil, fast()[:1])
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("this kernel has no flowtables: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.apply(fast()[:1], nil)
	return w
}

// TestFastpathReadsBack: nft prints what was meant, reads it, and does what the script
// says; a device more leaves the rest as it is.
func TestFastpathReadsBack(t *testing.T) {
	needNFT(t)
	w := newFastWorld(t)
	w.sh(w.machine, "ip link add third type bridge; ip link add 4th.5-x type bridge")
	devices := append(fast(), nft.Fastpath{Device: "third"}, nft.Fastpath{Device: "4th.5-x"})
	others := []nft.Rule{nft.Isolate{In: "third", Out: "eth0"}, nft.Masquerade{Source: prefix("192.168.15.0/24")}}
	all := slices.Concat(others, devices)
	notThat := nft.Fastpath{Device: "third", Port: true}
	sets := [][]nft.Rule{devices[:2], devices[:5], all, append(others, devices[1:]...), append(others, notThat), all, others, devices, devices[5:], devices[2:3], nil}
	var have []nft.Rule
	for _, want := range sets {
		w.apply(without(have, want), without(want, have))
		w.sameRules(want)
		list := inOrder(plainNames(w.sh(w.machine, "nft -s list ruleset")))
		if diff := cmp.Diff(inOrder(plainNames(nft.Text("vnet", want...))), list); diff != "" {
			t.Errorf("-ours +nft's:\n%s", diff)
		}
		w.sh(w.machine, "nft flush ruleset")
		w.apply(nil, have)
		if script := nft.Script("vnet", have, want); script != "" {
			w.sh(w.machine, "nft -f - <<'.'\n"+script+".")
		}
		w.sameRules(want)
		if diff := cmp.Diff(list, inOrder(plainNames(w.sh(w.machine, "nft -s list ruleset")))); diff != "" {
			t.Errorf("-Apply +script:\n%s", diff)
		}
		have = want
	}
}

// plainNames takes the marks from the names of a flowtable's devices, which not every
// nft prints.
func plainNames(text string) string {
	return regexp.MustCompile(`devices = \{ .* \}`).ReplaceAllStringFunc(text, func(line string) string {
		return strings.ReplaceAll(line, `"`, "")
	})
}

// sameRules compares with what the world's table has.
func (w *world) sameRules(want []nft.Rule) {
	w.t.Helper()
	got := w.rules()
	if lost, more := without(want, got), without(got, want); len(lost)+len(more) > 0 {
		w.t.Errorf("lost: %v, invented: %v", lost, more)
	}
}

// TestFastpathDevices: a device that is not there is refused by name, or is waited for;
// one that goes takes its fast path along, or leaves it for one that comes.
func TestFastpathDevices(t *testing.T) {
	w := newFastWorld(t)
	w.apply(nil, fast())
	absent := nft.Fastpath{Device: "absent0"}
	switch err := w.nft.Apply("vnet", nil, []nft.Rule{absent}); {
	case err == nil: // Linux 6.16
		w.sameRules(append(fast(), absent))
		w.apply([]nft.Rule{absent}, nil)
	case !errors.Is(err, fs.ErrNotExist):
		t.Error(err)
	default:
		if want := "add device absent0 of flowtable inet vnet fastpath: no such file or directory"; err.Error() != want {
			t.Errorf("%s\nwant %s", err, want)
		}
	}
	w.sameRules(fast())
	w.sh(w.machine, "ip link del eth0")
	left := w.rules()
	if len(without(left, fast())) > 0 || len(without(fast()[1:], left)) > 0 {
		t.Errorf("without eth0 there are %v", left)
	}
	w.sh(w.machine, "ip link add eth0 type bridge")
	w.apply(nil, fast())
	w.sameRules(fast())
	w.apply(fast(), nil)
	if tables, err := w.nft.Tables(); err != nil || len(tables) > 0 {
		t.Errorf("%q are left, %v", tables, err)
	}
}

// TestManyFastpaths: more devices than one message to the kernel may have, and longer in all
// than its answers usually are.
func TestManyFastpaths(t *testing.T) {
	w := newFastWorld(t)
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

// TestFastpath: packets of established connections are no longer forwarded by the usual
// way, and reach the same address from the same address.
func TestFastpath(t *testing.T) {
	needNFT(t)
	for _, tt := range []struct{ network, address, want string }{
		{"tcp4", "10.9.0.2:7", "10.9.0.1"}, {"udp4", "10.9.0.2:7", "10.9.0.1"},
		{"tcp6", "[2001:db8:9::2]:7", "2001:db8:9::1"}, {"udp6", "[2001:db8:9::2]:7", "2001:db8:9::1"},
	} {
		t.Run(tt.network, func(t *testing.T) {
			w := newFastWorld(t)
			w.watch()
			w.echo(w.outside, tt.network, ":7")
			w.apply(nil, inside())
			const questions = 100
			slow := w.open(w.red, tt.network, tt.address)
			w.talk(slow, questions, tt.want)
			before := w.passed()
			if before < 2*questions {
				t.Errorf("%d packets passed by the usual way, want %d at least", before, 2*questions)
			}
			w.apply(nil, fast())
			// One that was established before becomes fast as well.
			both := []net.Conn{slow, w.open(w.red, tt.network, tt.address)}
			for _, c := range both {
				w.talk(c, 5, tt.want)
				before := w.passed()
				w.talk(c, questions, tt.want)
				if n := w.passed() - before; n > questions/10 {
					t.Errorf("%d packets of %d passed by the usual way", n, 2*questions)
				}
			}
			// What counts is where they pass: in the kernel's list, Linux 7.3 does not say so
			// of TCP over IPv6.
			before = w.passed()
			for range questions / 2 {
				for _, c := range both {
					w.talk(c, 1, tt.want)
				}
			}
			if n := w.passed() - before; n > questions/10 {
				t.Errorf("of both, %d packets of %d passed by the usual way: %q", n, 2*questions, w.tracked(""))
			}
		})
	}
}

// TestFastpathNeedsBoth: a link without one keeps its connections on the usual way.
func TestFastpathNeedsBoth(t *testing.T) {
	needNFT(t)
	w := newFastWorld(t)
	w.watch()
	w.echo(w.outside, "tcp4", ":7")
	w.apply(nil, append(inside(), fast()[1:]...))
	w.talk(w.open(w.red, "tcp4", "10.9.0.2:7"), 50, "10.9.0.1")
	if n := w.passed(); n < 100 {
		t.Errorf("%d packets passed by the usual way, want 100 at least", n)
	}
}

// TestFastpathNotInside: what a switch passes on is not forwarded, even where the machine
// filters it.
func TestFastpathNotInside(t *testing.T) {
	w := newFastWorld(t)
	w.filterSwitches("1")
	w.echo(w.blue, "tcp4", ":7")
	w.apply(nil, append(inside(), fast()...))
	w.talk(w.open(w.red, "tcp4", "192.168.15.3:7"), 20, "192.168.15.2")
	if fast := w.tracked("[OFFLOAD]"); len(fast) > 0 {
		t.Errorf("fast: %q", fast)
	}
}

// TestFastpathForgets: a fast connection goes by rules that are no more as little as any
// other.
func TestFastpathForgets(t *testing.T) {
	forward := nft.Forward{Proto: nft.UDP, Ports: nft.Port(8080), To: addr("192.168.15.2"), ToPort: 7}
	other := nft.Forward{Proto: nft.UDP, Ports: nft.Port(8081), To: addr("192.168.15.2"), ToPort: 7}
	for what, change := range map[string]struct{ del, add []nft.Rule }{
		"a forward goes":       {del: []nft.Rule{forward}},
		"all goes":             {del: append(fast(), forward)},
		"links are kept apart": {add: []nft.Rule{nft.Isolate{In: "eth0", Out: "v-net-0"}}},
	} {
		t.Run(what, func(t *testing.T) {
			w := newFastWorld(t)
			w.echo(w.red, "udp4", ":7")
			w.apply(nil, append(fast(), forward))
			client := w.open(w.outside, "udp4", "10.9.0.1:8080")
			w.talk(client, 5, "10.9.0.2")
			w.apply(nil, []nft.Rule{other})
			w.talk(client, 5, "10.9.0.2")
			w.becomesFast(client, "10.9.0.2")
			w.apply(change.del, change.add)
			if got := say(client, 200*time.Millisecond); got != "silence" {
				t.Errorf("heard %q", got)
			}
		})
	}
}

// becomesFast talks until a connection is known to be fast: one that was so before can be
// it again when the kernel has done away with the old flowtable.
func (w *world) becomesFast(c net.Conn, from string) {
	w.t.Helper()
	for range 1000 {
		if len(w.tracked("[OFFLOAD]")) > 0 {
			return
		}
		w.talk(c, 1, from)
	}
	w.t.Errorf("it does not become fast: %q", w.tracked(""))
}

// watch counts what passes by the usual way, in a table of its own.
func (w *world) watch() {
	w.t.Helper()
	w.sh(w.machine, `nft 'table inet watch { chain forward { type filter hook forward priority -200; meta l4proto { tcp, udp } counter; }; }'`)
}

// passed is how many packets that were.
func (w *world) passed() int {
	w.t.Helper()
	n, err := strconv.Atoi(regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(w.sh(w.machine, "nft list table inet watch"))[1])
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// echo answers each line with the address that it came from, and keeps the connection.
func (w *world) echo(ns *os.File, network, address string) {
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

// open opens a connection that stays open.
func (w *world) open(ns *os.File, network, address string) net.Conn {
	w.t.Helper()
	var c net.Conn
	err := nsfs.Do(ns, func() (err error) {
		c, err = net.DialTimeout(network, address, patience)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// talk asks that often, and wants to be known by that address.
func (w *world) talk(c net.Conn, times int, from string) {
	w.t.Helper()
	for range times {
		got := ""
		if _, udp := c.(*net.UDPConn); udp {
			got = say(c, patience)
		} else {
			c.SetDeadline(time.Now().Add(patience))
			fmt.Fprintln(c, "?")
			line, _ := bufio.NewReader(c).ReadString('\n')
			got = strings.TrimSpace(line)
		}
		if got != "echo "+from {
			w.t.Fatalf("heard %q, want %q", got, "echo "+from)
		}
	}
}
