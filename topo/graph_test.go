package topo

import (
	"encoding/xml"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestGraph draws the examples in every format and compares them with the pictures in
// testdata/graph.
func TestGraph(t *testing.T) {
	for name, text := range labs(t) {
		lab := mustParse(t, name, text)
		for _, format := range GraphFormats {
			got, err := Graph(lab, format)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata/graph", strings.TrimSuffix(name, ".yaml")+"."+format), got)
		}
	}
}

func TestGraphFormats(t *testing.T) {
	if _, err := Graph(Topology{Name: "x"}, "png"); err == nil || !strings.Contains(err.Error(), `"png"`) {
		t.Errorf("png: %v", err)
	}
	for _, format := range GraphFormats {
		if got, err := Graph(Topology{Name: "x"}, format); err != nil || len(got) == 0 {
			t.Errorf("an empty lab as %s: %q, %v", format, got, err)
		}
	}
}

// The SVG is valid XML, whatever the names in the lab are.
func TestSVGIsXML(t *testing.T) {
	lab := Topology{Name: `<&">`, Hosts: []Host{{Name: `a<b>&"c`, Aliases: []string{"<x>"}}}}
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
		lab := mustParse(t, name, text)
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
