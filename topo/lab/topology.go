package lab

import (
	_ "embed"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Topology is the content of a lab file. [Parse] makes it from a file, or a
// program fills it by hand. [Compile] turns it into a [topo.State] and adds what
// the Topology leaves out.
type Topology struct {
	Name     string        // name of the lab; vnet marks its objects with it
	Networks []Network     // in the order of the file
	Hosts    []Host        // in the order of the file, which is the order of their addresses
	Links    []Link        // the links of the file
	Expect   []Expectation // what vnet verify proves

	// EgressLinks are the links of the machine's default routes. A network
	// with Fastpath has fast paths to them. [Topology.Fill] sets them.
	EgressLinks []string
	// OutsideMACs has the MAC addresses of those [Topology.OutsideLinks] that exist.
	// [Topology.Fill] sets it. If it is nil, derived MAC addresses depend on the names only.
	OutsideMACs map[topo.Key]topo.MAC

	// BridgeNetfilter means that NAT may run in bridges, because br_netfilter is loaded. Then the
	// bridge port of a host needs hairpin mode, so that the host reaches a port that is forwarded to itself.
	// [Topology.Fill] sets it.
	BridgeNetfilter bool

	source *syntax.Source // the file, for the places of mistakes found later; nil if there is none
}

// Parse reads a lab file. file is its name in mistakes. The text is YAML; JSON
// works too. The error is of type [Mistakes] and lists all mistakes.
func Parse(file string, text []byte) (Topology, error) {
	d := syntax.NewDecoder(syntax.NewSource(file, text))
	var lab fileLab
	if !d.Document(text, &lab) {
		return Topology{}, errorOf(&d.MistakeList)
	}
	t := lab.topology(d)
	t.source = d.Source
	if t.Name == "" {
		t.Name = nameOf(file)
	}
	k := checker{MistakeList: d.MistakeList, t: &t, incomplete: d.Found()}
	k.all()
	if err := errorOf(&k.MistakeList); err != nil {
		return Topology{}, err
	}
	return t, nil
}

// nameOf derives a lab's name from its file's.
func nameOf(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if file == "" || name == "-" || name == "." || !naming.IsLab(name) {
		return "lab"
	}
	return name
}

// topology converts the file to a Topology.
func (l *fileLab) topology(d *syntax.Decoder) Topology {
	t := Topology{
		Name:     l.Name,
		Networks: make([]Network, 0, len(l.Networks)),
		Hosts:    make([]Host, 0, len(l.Hosts)),
	}
	for i := range l.Networks {
		t.Networks = append(t.Networks, l.Networks[i].Value.network(d, l.Networks[i].Key, l.Networks[i].At))
	}
	for i := range l.Hosts {
		t.Hosts = append(t.Hosts, l.Hosts[i].Value.host(d, l.Hosts[i].Key, l.Hosts[i].At))
	}
	for i := range l.Links {
		if link, ok := l.Links[i].link(d); ok {
			t.Links = append(t.Links, link)
		}
	}
	t.Expect = l.expectations(d, &t)
	return t
}

// Format returns t as a lab file. Parse reads it back as t. Defaults and
// repetitions are written in full.
func Format(t Topology) []byte {
	var doc syntax.Mapping
	doc.Text("name", t.Name)
	doc.Table("networks", len(t.Networks), func(i int) (string, syntax.Mapping) {
		return t.Networks[i].Name, t.Networks[i].format()
	})
	doc.Table("hosts", len(t.Hosts), func(i int) (string, syntax.Mapping) {
		return t.Hosts[i].Name, t.Hosts[i].format()
	})
	doc.Items("links", len(t.Links), func(i int) *yaml.Node { return t.Links[i].format() })
	doc.Items("expect", len(t.Expect), func(i int) *yaml.Node { return t.Expect[i].format() })
	return doc.Document()
}

//go:embed lab.schema.json
var schema string

// Schema returns the JSON Schema of the lab file. With it, editors complete keys,
// show their descriptions and mark mistakes. Name it in the first line of a lab
// file:
//
//	# yaml-language-server: $schema=lab.schema.json
//
// It finds fewer mistakes than Parse, which also compares entries with each
// other. It is generated from the file types and their comments by
//
//	go test ./topo/lab -run Schema -update
func Schema() string { return schema }
