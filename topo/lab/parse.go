package lab

import (
	"cmp"
	"net/netip"
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

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
		if c, ok := l.Links[i].link(d); ok {
			t.Links = append(t.Links, c)
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

// maxFacts limits the number of facts that patterns expand to.
const maxFacts = 1 << 18

// expectations expands patterns: "h* -> gw: ping" is one fact for each host that matches
// h*. It replaces aliases by host names.
func (l *fileLab) expectations(d *syntax.Decoder, t *Topology) []Expectation {
	hosts, byAlias := []string{}, map[string]string{}
	for _, h := range t.Hosts {
		if h.Name != topo.Machine {
			hosts = append(hosts, h.Name)
		}
		for _, a := range h.Aliases {
			byAlias[a] = h.Name
		}
	}
	var out []Expectation
	for _, e := range l.Expect {
		for _, x := range e.list {
			x.From = cmp.Or(byAlias[x.From], x.From)
			if x.Probe != ProbeDNS { // there, To is the name to resolve
				x.To = cmp.Or(byAlias[x.To], x.To)
			}
			froms, tos := matching(x.From, hosts), matching(x.To, hosts)
			if len(froms) == 0 || len(tos) == 0 {
				d.Mistake(x.at, "", "no host matches the pattern in "+x.String(), spell.DidYouMean("", hosts))
			}
			if len(out)+len(froms)*len(tos) > maxFacts {
				d.Mistake(x.at, "", "the patterns make too many facts", "name fewer hosts; verify --all-pairs proves every pair")
				return out
			}
			for _, x.From = range froms {
				for _, x.To = range tos {
					if x.From != x.To || len(froms)+len(tos) == 2 {
						out = append(out, x)
					}
				}
			}
		}
	}
	return out
}

// matching returns the hosts that match a pattern with *. Without *, it returns
// pattern itself.
func matching(pattern string, hosts []string) []string {
	if !strings.Contains(pattern, "*") {
		return []string{pattern}
	}
	var out []string
	for _, h := range hosts {
		if ok, err := path.Match(pattern, h); ok && err == nil {
			out = append(out, h)
		}
	}
	return out
}

// prefixOf returns the subnet that contains a, or an invalid prefix.
func prefixOf(a netip.Addr, subnets []netip.Prefix) netip.Prefix {
	for _, p := range subnets {
		if p.Contains(a) {
			return p
		}
	}
	return netip.Prefix{}
}
