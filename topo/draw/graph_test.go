package draw

import (
	"cmp"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo/lab"
)

// labs returns the examples, and the lab files in testdata/labs.
func labs(t testing.TB) map[string][]byte {
	t.Helper()
	all := golden.Examples(t)
	more, err := filepath.Glob("testdata/labs/*.yaml")
	if err != nil || len(more) == 0 {
		t.Fatalf("no labs: %v", err)
	}
	for _, path := range more {
		if all[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestGraph draws the labs in every format and compares them with the pictures in testdata/graph.
func TestGraph(t *testing.T) {
	for name, text := range labs(t) {
		topology := labtest.MustParse(t, name, text)
		for _, format := range Formats {
			got, err := Graph(topology, format)
			if err != nil {
				t.Fatal(err)
			}
			golden.File(t, filepath.Join("testdata/graph", strings.TrimSuffix(name, ".yaml")+"."+format), got)
		}
	}
}

func TestFormats(t *testing.T) {
	if _, err := Graph(lab.Topology{Name: "x"}, "png"); err == nil || !strings.Contains(err.Error(), `"png"`) {
		t.Errorf("png: %v", err)
	}
	for _, format := range Formats {
		if got, err := Graph(lab.Topology{Name: "x"}, format); err != nil || len(got) == 0 {
			t.Errorf("an empty lab as %s: %q, %v", format, got, err)
		}
	}
}

// The SVG is valid XML, whatever the names in the lab are.
func TestSVGIsXML(t *testing.T) {
	lab := lab.Topology{Name: `<&">`, Hosts: []lab.Host{{Name: `a<b>&"c`, Aliases: []string{"<x>"}}}}
	svg, err := Graph(lab, "svg")
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v:\n%s", err, svg)
		}
	}
}

// No box covers another.
func TestBoxesDoNotOverlap(t *testing.T) {
	for name, text := range labs(t) {
		lab := labtest.MustParse(t, name, text)
		p := newDrawing(&lab).place(measure)
		for a := range p.nodes {
			for b := range a {
				if p.x[a] < p.x[b]+p.w[b] && p.x[b] < p.x[a]+p.w[a] && p.y[a] < p.y[b]+p.h[b] && p.y[b] < p.y[a]+p.h[a] {
					t.Errorf("%s: %s covers %s", name, p.nodes[a].name, p.nodes[b].name)
				}
			}
		}
	}
}

// Where no lines need to cross, none do, whatever the order of the file is. Here a gateway has four networks, and the
// file lists their hosts and the links between the hosts in the worst order.
func TestLinesDoNotCross(t *testing.T) {
	text := "networks: {n1: {in: gw}, n2: {in: gw}, n3: {in: gw}, n4: {in: gw}}\nhosts:\n  gw: {}\n"
	for _, h := range []string{"4", "2", "3", "1"} {
		text += "  a" + h + ": {networks: [n" + h + "]}\n"
	}
	for _, h := range []string{"3", "1", "4", "2"} {
		text += "  b" + h + ": {networks: [n" + h + "]}\n"
	}
	text += "links: [{endpoints: [a4, c4]}, {endpoints: [a1, c1]}, {endpoints: [a3, c3]}]\n"
	text = strings.Replace(text, "hosts:\n", "hosts:\n  c1: {}\n  c3: {}\n  c4: {}\n", 1)
	lab := labtest.MustParse(t, "x.yaml", []byte(text))
	p := newDrawing(&lab).place(measure)
	slots := p.slots()
	for k, e := range p.edges {
		for n, f := range p.edges[:k] {
			upper, lower, fupper, flower := e.a, e.b, f.a, f.b
			if p.row[upper] > p.row[lower] {
				upper, lower = lower, upper
			}
			if p.row[fupper] > p.row[flower] {
				fupper, flower = flower, fupper
			}
			if p.row[upper] != p.row[fupper] || upper == fupper && lower == flower {
				continue
			}
			top := cmp.Compare(slots[slot{k, upper}], slots[slot{n, fupper}])
			if bottom := cmp.Compare(slots[slot{k, lower}], slots[slot{n, flower}]); top*bottom < 0 {
				t.Errorf("the line %s–%s crosses %s–%s", p.nodes[upper].name, p.nodes[lower].name,
					p.nodes[fupper].name, p.nodes[flower].name)
			}
		}
	}
}

// More than eight hosts are drawn as one box if each has one port on the same network and nothing else.
func TestSimilarHosts(t *testing.T) {
	for text, want := range map[string]int{
		"hosts: {h(n): {repeat: 8, networks: [n]}}":                                   0,
		"hosts: {h(n): {repeat: 9, networks: [n]}}":                                   9,
		"hosts: {h(n): {repeat: 9, networks: [n]}, x: {networks: [n]}}":               10,
		"hosts: {h(n): {repeat: 9, networks: [n]}, x: {networks: [n], router: true}}": 9,
		"hosts: {h(n): {repeat: 9, networks: [n]}, x: {networks: [n, o]}}":            9,
		"hosts: {h(n): {repeat: 9, networks: [n]}, x: {networks: [o]}}":               9,
		"hosts: {h(n): {repeat: 9, networks: [n]}, x: {networks: [n], ports: ['1']}}": 9,
		"hosts: {h(n): {repeat: 9, networks: [n], devices: {d: {type: dummy}}}}":      0,
		"hosts: {h(n): {repeat: 9, devices: {d: {type: dummy}}}}":                     0,
	} {
		lab := labtest.MustParse(t, "x.yaml", []byte("networks: {n: {subnets: [10.0.0.0/24]}, o: {}}\n"+text))
		d := newDrawing(&lab)
		drawn := 0
		for _, n := range d.nodes {
			drawn = max(drawn, n.hosts)
		}
		if drawn != want {
			t.Errorf("%s: %d hosts in a box, want %d", text, drawn, want)
		}
	}
}

// Names and values of a lab file do not act on the terminal.
func TestControlCharacters(t *testing.T) {
	hosts := []lab.Host{{Name: "a\x1b[2J", Aliases: []string{"b\x1b[2J"}}}
	got, err := Graph(lab.Topology{Name: "x", Hosts: hosts}, "ascii")
	if err != nil || strings.ContainsRune(string(got), '\x1b') {
		t.Errorf("%q, %v", got, err)
	}
}

// TestInvalidTopologies: Graph draws what Check rejects, too.
func TestInvalidTopologies(t *testing.T) {
	for what, topology := range map[string]lab.Topology{
		"no name": {},
		"unknown names": {
			Name: "x", Networks: []lab.Network{{Name: "a", In: "b", Gateway: "c", IsolateFrom: []string{"d"}}},
			Links: []lab.Link{{}}, Expect: []lab.Expectation{{From: "e", To: "f"}},
		},
		"duplicates": {
			Name: "x", Hosts: []lab.Host{{Name: "a"}, {Name: "a"}}, Networks: []lab.Network{{Name: "n"}, {Name: "n"}},
		},
		"zero values": {Name: "x", Hosts: []lab.Host{{
			Name: "a", Routes: []lab.StaticRoute{{}}, Neighbours: []lab.StaticNeigh{{}}, Sysctls: []lab.Setting{{}},
			Ports: []lab.Forward{{}}, Forwards: []lab.Forward{{}}, Devices: []lab.Device{{}},
			Networks: []lab.Attachment{{}},
		}}},
	} {
		for _, format := range Formats {
			if _, err := Graph(topology, format); err != nil {
				t.Errorf("%s as %s: %v", what, format, err)
			}
		}
	}
}

// FuzzGraph: Graph draws each topology that Parse accepts.
func FuzzGraph(f *testing.F) {
	for name, text := range golden.Examples(f) {
		if name != "thousand.yaml" {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<12 {
			return
		}
		topology, err := lab.Parse("lab.yaml", text)
		if err != nil || len(topology.Hosts)+len(topology.Networks)+len(topology.Links) > 100 {
			return // it takes too long
		}
		for _, format := range Formats {
			if _, err := Graph(topology, format); err != nil {
				t.Fatal(err)
			}
		}
	})
}
