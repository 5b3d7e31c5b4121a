package lab

import (
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/topo"
)

// TestCompile compiles the labs of testdata/compile and compares the whole
// state, one object per line. NAT may run in bridges.
func TestCompile(t *testing.T) {
	eachCase(t, "compile/*.txtar", func(c *goldenCase) {
		lab := mustParse(c.t, "lab.yaml", c.in("lab.yaml"))
		lab.BridgeNetfilter = true
		state, err := Compile(lab)
		if err != nil {
			c.t.Fatal(err)
		}
		c.out("state", state.String())
		for _, f := range state.Objects() {
			if f, ok := f.(topo.File); ok && f.NS == lab.Hosts[0].Name {
				c.out("/etc/"+f.Name+" of "+f.NS, f.Content)
			}
		}
	})
}

// Every example compiles, twice to the same state, and each object that another
// one needs comes before it.
func TestCompileIsComplete(t *testing.T) {
	for name, text := range golden.Examples(t) {
		t.Run(name, func(t *testing.T) {
			lab := mustParse(t, name, text)
			a, err := Compile(lab)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Compile(mustParse(t, name, text))
			if err != nil || !a.Equal(b) {
				t.Fatalf("the second compilation gives another state (%v)", err)
			}
			provided := map[topo.Key]bool{}
			for _, o := range a.Objects() {
				for _, k := range topo.Provides(o) {
					provided[k] = true
				}
				for _, k := range topo.Needs(o) {
					// The machine, its devices and lo exist without the lab.
					if !provided[k] && k.NS != "" && k.Name != "lo" && k.Kind != topo.OfPort {
						t.Errorf("%s needs %v, which does not come before it", o, k)
					}
				}
			}
		})
	}
}

// All MACs are set and unique in a lab; but a port of a bridge has the bridge's.
func TestCompileSetsMACs(t *testing.T) {
	for name, text := range golden.Examples(t) {
		state, err := Compile(mustParse(t, name, text))
		if err != nil {
			t.Fatal(err)
		}
		macs := map[topo.MAC]string{}
		for _, o := range state {
			var links []topo.Link
			switch o := o.(type) {
			case topo.Veth:
				links = o.Ends[:]
			case topo.Bridge:
				links = []topo.Link{o.Link}
			}
			for _, l := range links {
				if l.MAC.IsZero() || l.MTU == 0 {
					t.Errorf("%s: %s has no MAC or MTU", name, l.Name)
				}
				if l.Master != "" {
					bridge, _ := state[topo.LinkKey(l.NS, l.Master)].(topo.Bridge)
					if l.MAC != bridge.MAC {
						t.Errorf("%s: %s has another MAC than its bridge", name, l.Name)
					}
					continue
				}
				if other := macs[l.MAC]; other != "" {
					t.Errorf("%s: %s and %s have the same MAC", name, l.Name, other)
				}
				macs[l.MAC] = l.NS + " " + l.Name
			}
		}
	}
}

// Compile checks a topology made by hand first.
func TestCompileChecks(t *testing.T) {
	state, err := Compile(Topology{Name: "x", Hosts: []Host{{Name: "red", Networks: []Attachment{{Network: "nowhere"}}}}})
	if state != nil || err == nil || !strings.Contains(err.Error(), `unknown network "nowhere"`) {
		t.Errorf("%v, %v", state, err)
	}
}

func BenchmarkCompileThousand(b *testing.B) {
	text := golden.Examples(b)["thousand.yaml"]
	lab := mustParse(b, "thousand.yaml", text)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(lab); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseThousand(b *testing.B) {
	text := golden.Examples(b)["thousand.yaml"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("thousand.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}
