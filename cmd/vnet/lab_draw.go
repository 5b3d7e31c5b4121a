package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/draw"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

func graphObject() *object {
	return &object{name: "graph", usage: "draw a lab",
		lab: &labCommand{maxArgs: 1, run: (*session).graph, flags: []cli.Flag{
			text("format", "`FORMAT` is ascii (the default), or "+strings.Join(draw.Formats[1:], ", ")),
		}}, help: `
vnet graph [FILE | LAB] [--format ascii|mermaid|dot|svg]

Draws the hosts, networks, links and addresses of a lab file or of a lab that is up.
ascii is for the terminal, mermaid for Markdown, dot for Graphviz, svg for browsers.

   vnet graph lab.yaml
   vnet graph lab.yaml --format svg >lab.svg
`}
}

func schemaObject() *object {
	return &object{name: "schema", usage: "print the JSON Schema of lab files", lab: &labCommand{run: (*session).schema},
		help: `
vnet schema

Prints the JSON Schema with which editors complete and check lab files. Many editors
find it by the first line of a file:

   # yaml-language-server: $schema=lab.schema.json

   vnet schema >lab.schema.json
`}
}

func exportObject() *object {
	return &object{name: "export", usage: "write the lab file of the machine or of a lab",
		lab: &labCommand{maxArgs: 1, run: (*session).export, flags: []cli.Flag{
			text("name", "`NAME` of the lab in the file"),
		}}, help: `
vnet export [LAB] [--name NAME]

Reads the namespaces, bridges, veth pairs, addresses, routes and NAT of the machine and
writes a lab file that makes the same. It does not matter which program made them. With
LAB, it writes the file of a lab that is up. Comments in the file list what a lab file
cannot describe.

   vnet export >lab.yaml
   vnet export red-blue
`}
}

// graph runs vnet graph.
func (s *session) graph(l labLine) error {
	format := l.String("format")
	if format == "" {
		format = draw.Formats[0]
	}
	if !slices.Contains(draw.Formats, format) {
		e := words.Unknown("format", format, draw.Formats)
		if e.Hint == "" {
			e.Hint = "expected one of " + strings.Join(draw.Formats, ", ")
		}
		return e
	}
	lab, err := s.labToDraw(l.file())
	if err != nil {
		return err
	}
	picture, err := draw.Graph(lab, format)
	if err != nil {
		return err
	}
	_, err = s.out.Write(picture)
	return err
}

// labToDraw reads a lab from a file, or from the kernel if the lab is up.
func (s *session) labToDraw(fileOrLab string) (lab.Topology, error) {
	named, err := s.fileOrLab(fileOrLab)
	if err != nil {
		return lab.Topology{}, err
	}
	if named.file != nil {
		return *named.file, nil
	}
	lab, _, err := s.exported(named.name, named.name)
	return lab, err
}

// exported returns the lab file of a lab that is up, with the name as, and what a lab file cannot describe.
func (s *session) exported(name, as string) (topology lab.Topology, rest []string, err error) {
	err = s.withKernel(name, func(_ context.Context, k *live.Kernel) error {
		have, err := k.Snapshot(nil)
		topology, rest = lab.Export(as, have)
		return err
	})
	return topology, rest, err
}

// schema runs vnet schema.
func (s *session) schema(labLine) error {
	_, err := io.WriteString(s.out, lab.Schema())
	return err
}

// export runs vnet export.
func (s *session) export(l labLine) error {
	topology, rest, err := s.toExport(l)
	if err != nil {
		return err
	}
	if _, err := s.out.Write(lab.Format(topology)); err != nil || len(rest) == 0 {
		return err
	}
	_, err = fmt.Fprintf(s.out,
		"\n# A lab file cannot describe the following. Lines with + are objects that this file makes in addition:\n#   %s\n",
		strings.Join(rest, "\n#   "))
	return err
}

// toExport returns the named lab, or the machine, and what a lab file cannot describe.
func (s *session) toExport(l labLine) (topology lab.Topology, rest []string, err error) {
	as := l.String("name")
	if l.NArg() > 0 {
		named, err := s.fileOrLab(l.file())
		if err != nil {
			return topology, nil, err
		}
		if as == "" {
			as = named.name
		}
		return s.exported(named.name, as)
	}
	if as == "" {
		as = topo.Machine
	}
	have, unknown, err := live.Survey()
	if err != nil {
		return topology, nil, err
	}
	topology, rest = lab.Export(as, have)
	return topology, append(unknown, rest...), nil
}
