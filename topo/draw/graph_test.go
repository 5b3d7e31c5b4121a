package draw

import (
	"encoding/xml"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo/lab"
)

// TestGraph draws the examples in every format and compares them with the pictures in
// testdata/graph.
func TestGraph(t *testing.T) {
	for name, text := range golden.Examples(t) {
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
	for name, text := range golden.Examples(t) {
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
