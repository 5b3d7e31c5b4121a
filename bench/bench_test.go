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

// TestMain runs a measurement if the arguments ask for one: each measurement starts this
// program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "measure" {
		os.Exit(nsfs.Sandbox(measure))
	}
	os.Exit(m.Run())
}

// buildPrograms builds vnet and the floor.
func buildPrograms(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the other tools need root")
	}
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestTools makes a small network of each shape with each tool, checks it, and checks that
// nothing remains.
func TestTools(t *testing.T) {
	for _, c := range allTools(buildPrograms(t), 10) {
		t.Run(c.name, func(t *testing.T) {
			if missing := c.missingProgram(); missing != "" {
				t.Skipf("no %s on this machine; bench/setup.sh installs it", missing)
			}
			for _, shape := range c.shapes {
				w := workload{Shape: shape, Bridges: 1, Each: 3}
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

// TestCheck: check finds differences from the expected network.
func TestCheck(t *testing.T) {
	buildPrograms(t) // skips without root
	expected := workload{Shape: "star", Bridges: 1, Each: 3}
	for _, tt := range []struct{ name, want, spoil string }{
		{"nothing", "", "true"},
		{"no host", "h2", "ip netns del h2"},
		{"no default route", "no route to 0.0.0.0/0", "ip -n h1 route del default"},
		{"another address", "has no address",
			"ip -n h1 addr add 10.0.9.9/16 dev eth0; ip -n h1 addr del 10.0.0.3/16 dev eth0"},
		{"lo is down", "lo: is down", "ip -n h1 link set lo down"},
		{"in no bridge", "is in bridge", "ip link set h1 nomaster"},
		{"the bridge is down", "or is down", "ip link set sw0 down"},
		{"a link too many", "links", "ip -n h1 link add d0 type bridge"},
		{"packets are lost", "ping 10.0.0.1", "iptables -A INPUT -i sw0 -j DROP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := runJob(func(d folder) job {
				j := script(expected, d)
				j.Workload, j.Dir, j.Add = expected, string(d), nil
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

// TestForwardMethods forwards a few ports with each method, and connects through the last.
func TestForwardMethods(t *testing.T) {
	dir := buildPrograms(t)
	b := bench{filter: regexp.MustCompile("")}
	for _, w := range b.forwardMethods() {
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

// TestShapes counts the parts of networks.
func TestShapes(t *testing.T) {
	for _, tt := range []struct {
		workload              string
		bridges, hosts, pairs int
	}{
		{"star 3", 1, 3, 3}, {"star 2x3", 2, 6, 6}, {"nat 2", 1, 2, 2},
		{"chain 4", 0, 4, 3}, {"mesh 5", 0, 5, 10}, {"verify 4", 1, 4, 4},
	} {
		workloads, err := parseWorkloads(tt.workload)
		if err != nil {
			t.Fatal(err)
		}
		w := workloads[0]
		n := w.Network(0)
		if len(n.Bridges) != tt.bridges || len(n.Hosts) != tt.hosts || len(n.Pairs) != tt.pairs {
			t.Errorf("%s: %d bridges, %d hosts, %d veth pairs", tt.workload, len(n.Bridges), len(n.Hosts), len(n.Pairs))
		}
		if w.Name() != tt.workload {
			t.Errorf("%s has the name %s", tt.workload, w.Name())
		}
		addrs := map[string]bool{}
		for _, c := range n.Pairs {
			for _, e := range c {
				if e.Addr.IsValid() && addrs[e.Addr.String()] {
					t.Errorf("%s: %s twice", tt.workload, e.Addr)
				}
				addrs[e.Addr.String()] = true
			}
		}
	}
	for _, bad := range []string{"", "star", "star x", "star 0", "ring 3", "chain 2x3", "star 3x"} {
		if workloads, err := parseWorkloads(bad); err == nil {
			t.Errorf("%q: %v", bad, workloads)
		}
	}
}

// TestLabs checks the lab files of all shapes with vnet.
func TestLabs(t *testing.T) {
	dir := buildPrograms(t)
	for _, shape := range shapes {
		w := workload{Shape: shape, Bridges: 1, Each: 4}
		cmd := exec.Command(dir+"/vnet", "check", "-")
		cmd.Stdin = strings.NewReader(w.Network(w.ExtraHosts()).Lab())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", shape, err, out, w.Network(0).Lab())
		}
	}
}

// TestRatios: ratios are computed per round if the numbers of rounds are equal.
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
		t.Error("a ratio of a missing figure")
	}
	r.fail("w", "a", errors.New("exit status 1\nx: Error: no such thing"))
	r.fail("w", "a", errors.New("exit status 1\nx: Error: no such thing"))
	if want := []string{"w, a: x: Error: no such thing"}; !slices.Equal(r.failures, want) {
		t.Errorf("%q", r.failures)
	}
}

// TestTargets: targets without results, met ones and others.
func TestTargets(t *testing.T) {
	var b strings.Builder
	results{}.writeTargets(&b)
	if n := strings.Count(b.String(), "not measured"); n != len(targets()) {
		t.Errorf("%d of %d targets not measured:\n%s", n, len(targets()), b.String())
	}
	r := results{}
	r.add("binary", vnetTool, measurement{"size": 8})
	r.add("cycles", vnetTool, measurement{cycles: 99})
	b.Reset()
	r.writeTargets(&b)
	for line, verdict := range map[string]string{"the stripped binary": "| met |", "repeated": "| not met |"} {
		i := slices.IndexFunc(strings.Split(b.String(), "\n"), func(l string) bool {
			return strings.Contains(l, line) && strings.HasSuffix(l, verdict)
		})
		if i < 0 {
			t.Errorf("%s: not %q\n%s", line, verdict, b.String())
		}
	}
}

// TestWrite writes pages without and with a star.
func TestWrite(t *testing.T) {
	workloads, err := parseWorkloads("nat 2, star 10")
	if err != nil {
		t.Fatal(err)
	}
	b := bench{out: t.TempDir(), workloads: workloads}
	plot := filepath.Join(b.out, "plot.svg")
	b.results.add("nat 2", vnetTool, measurement{up: 1, down: 2})
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(plot); err == nil {
		t.Error("a plot without stars")
	}
	b.results.add("star 10", vnetTool, measurement{up: 20, down: 2, again: 5})
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
