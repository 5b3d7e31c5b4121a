package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestMain is the bench's own main where a measurement is asked for: each starts
// this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "measure" {
		os.Exit(nsfs.Sandbox(measure))
	}
	os.Exit(m.Run())
}

// tools builds what is measured.
func tools(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the peers need root")
	}
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestContestants lets each make a small network of every shape that it can make:
// it is the same one, and nothing is left.
func TestContestants(t *testing.T) {
	for _, c := range contestants(tools(t), 10) {
		t.Run(c.name, func(t *testing.T) {
			if missing := c.missing(); missing != "" {
				t.Skipf("no %s on this machine; bench/setup.sh installs it", missing)
			}
			for _, shape := range c.shapes {
				w := work{Shape: shape, Switches: 1, Each: 3}
				m, err := runJob(func(dir folder) job { return c.job(w, dir) })
				if err != nil {
					t.Fatalf("%s: %v", shape, err)
				}
				for _, f := range []string{up, down} {
					if m[f] <= 0 {
						t.Errorf("%s: %s was not measured: %v", shape, f, m)
					}
				}
			}
		})
	}
}

// TestCheck finds what is not the network that was asked for.
func TestCheck(t *testing.T) {
	tools(t) // which says whether the rights are there
	asked := work{Shape: "star", Switches: 1, Each: 3}
	for _, tt := range []struct{ name, want, spoil string }{
		{"nothing", "", "true"},
		{"no host", "h2", "ip netns del h2"},
		{"no default route", "no route to 0.0.0.0/0", "ip -n h1 route del default"},
		{"another address", "has no address", "ip -n h1 addr add 10.0.9.9/16 dev eth0; ip -n h1 addr del 10.0.0.3/16 dev eth0"},
		{"lo is down", "lo: is not up", "ip -n h1 link set lo down"},
		{"in no switch", "is in switch", "ip link set h1 nomaster"},
		{"the switch is down", "not up", "ip link set sw0 down"},
		{"a link too many", "links", "ip -n h1 link add d0 type bridge"},
		{"packets are lost", "ping 10.0.0.1", "iptables -A INPUT -i sw0 -j DROP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := runJob(func(d folder) job {
				j := script(asked, d)
				j.Work, j.Dir, j.Add = asked, string(d), nil
				j.Up = sh(d, "spoilt", strings.Join(j.Up, " ")+"\n"+tt.spoil)
				j.Down = sh(d, "none", "for n in h0 h1 h2 h3; do ip netns del $n || true; done; ip link del sw0")
				return j
			})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestWays forwards a few ports in each way, and connects through the last.
func TestWays(t *testing.T) {
	dir := tools(t)
	b := bench{only: regexp.MustCompile("")}
	for _, w := range b.ways() {
		t.Run(w.name, func(t *testing.T) {
			m, err := runJob(func(d folder) job { return w.prepare(dir+"/vnet", 3, d) })
			if err != nil && strings.Contains(w.name, "flowtable") && strings.Contains(err.Error(), "No such file") {
				t.Skip("this kernel has no flowtables")
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []string{rate, flow, onePort} {
				if m[f] <= 0 {
					t.Errorf("%s was not measured: %v", f, m)
				}
			}
		})
	}
}

// TestShapes counts what networks are made of.
func TestShapes(t *testing.T) {
	for _, tt := range []struct {
		work                    string
		switches, hosts, cables int
	}{
		{"star 3", 1, 3, 3}, {"star 2x3", 2, 6, 6}, {"nat 2", 1, 2, 2}, {"chain 4", 0, 4, 3}, {"mesh 5", 0, 5, 10}, {"verify 4", 1, 4, 4},
	} {
		works, err := worksOf(tt.work)
		if err != nil {
			t.Fatal(err)
		}
		w := works[0]
		n := w.Network(0)
		if len(n.Switches) != tt.switches || len(n.Hosts) != tt.hosts || len(n.Cables) != tt.cables {
			t.Errorf("%s: %d switches, %d hosts, %d cables", tt.work, len(n.Switches), len(n.Hosts), len(n.Cables))
		}
		if w.Name() != tt.work {
			t.Errorf("%s is called %s", tt.work, w.Name())
		}
		addrs := map[string]bool{}
		for _, c := range n.Cables {
			for _, e := range c {
				if e.Addr.IsValid() && addrs[e.Addr.String()] {
					t.Errorf("%s: %s twice", tt.work, e.Addr)
				}
				addrs[e.Addr.String()] = true
			}
		}
	}
	for _, bad := range []string{"", "star", "star x", "star 0", "ring 3", "chain 2x3", "star 3x"} {
		if works, err := worksOf(bad); err == nil {
			t.Errorf("%q: %v", bad, works)
		}
	}
}

// TestLabs lets vnet judge the lab files: they say the same as the networks.
func TestLabs(t *testing.T) {
	dir := tools(t)
	for _, shape := range shapes {
		w := work{Shape: shape, Switches: 1, Each: 4}
		cmd := exec.Command(dir+"/vnet", "check", "-")
		cmd.Stdin = strings.NewReader(w.Network(w.Grows()).Lab())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", shape, err, out, w.Network(0).Lab())
		}
	}
}

// TestRatios compares round with round, as long as there are as many.
func TestRatios(t *testing.T) {
	var r results
	for _, v := range []float64{1, 10, 100} {
		r.add("w", "a", measurement{up: 2 * v})
		r.add("w", "b", measurement{up: v})
	}
	r.add("w", "once", measurement{up: 40})
	x, y, once := figure{"w", "a", up}, figure{"w", "b", up}, figure{"w", "once", up}
	if v, err := r.ratio(x, y); v != 2 || err != nil {
		t.Errorf("%v %v", v, err)
	}
	if v, err := r.ratio(once, y); v != 4 || err != nil {
		t.Errorf("%v %v", v, err)
	}
	if v, err := r.difference(x, y); v != 10 || err != nil {
		t.Errorf("%v %v", v, err)
	}
	if _, err := r.ratio(x, figure{"w", "nobody", up}); err == nil {
		t.Error("a figure of nobody's")
	}
	r.fail("w", "a", errors.New("exit status 1\nx: Error: no such thing"))
	r.fail("w", "a", errors.New("exit status 1\nx: Error: no such thing"))
	if want := []string{"w, a: x: Error: no such thing"}; !slices.Equal(r.failures, want) {
		t.Errorf("%q", r.failures)
	}
}

// TestAims judges what was not measured, what holds, and what does not.
func TestAims(t *testing.T) {
	var b strings.Builder
	results{}.writeAims(&b)
	if n := strings.Count(b.String(), "not measured"); n != len(aims()) {
		t.Errorf("%d of %d aims not measured:\n%s", n, len(aims()), b.String())
	}
	r := results{}
	r.add("binary", ours, measurement{"size": 8})
	r.add("cycles", ours, measurement{cycles: 99})
	b.Reset()
	r.writeAims(&b)
	for line, verdict := range map[string]string{"the stripped binary": "| holds |", "in a row": "| falls short |"} {
		i := slices.IndexFunc(strings.Split(b.String(), "\n"), func(l string) bool { return strings.Contains(l, line) && strings.HasSuffix(l, verdict) })
		if i < 0 {
			t.Errorf("%s: not %q\n%s", line, verdict, b.String())
		}
	}
}

// TestWrite writes a page of nothing, and one of a star.
func TestWrite(t *testing.T) {
	works, err := worksOf("nat 2, star 10")
	if err != nil {
		t.Fatal(err)
	}
	b := bench{out: t.TempDir(), works: works}
	plot := filepath.Join(b.out, "plot.svg")
	b.results.add("nat 2", ours, measurement{up: 1, down: 2})
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(plot); err == nil {
		t.Error("a plot of no stars")
	}
	b.results.add("star 10", ours, measurement{up: 20, down: 2, again: 5})
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(plot); err != nil {
		t.Error(err)
	}
	page, err := os.ReadFile(filepath.Join(b.out, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| vnet | 20.0 | 2.00 | 1.00 | 2.00 | 1.00 |", "| star 10 | 5.00 | 0.25 |"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
