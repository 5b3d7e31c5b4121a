package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
)

// Parse reads a lab file. file is its name in mistakes. The text is YAML; JSON
// works too. The error is of type [Mistakes] and lists all mistakes.
func Parse(file string, text []byte) (Topology, error) {
	src := newSource(file, text)
	d := &decoder{mistakeList: mistakeList{src: src}, nodesLeft: maxNodes}
	root := d.document(text)
	if root == nil {
		return Topology{}, d.err()
	}
	var lab fileLab
	d.expand(root)
	d.key = "the file"
	d.value(root, &lab)
	t := lab.topology(d)
	t.source = src
	if t.Name == "" {
		t.Name = nameOf(file)
	}
	k := checker{mistakeList: d.mistakeList, t: &t, incomplete: len(d.list) > 0}
	k.all()
	if err := k.err(); err != nil {
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
func (l *fileLab) topology(d *decoder) Topology {
	t := Topology{
		Name:     l.Name,
		Networks: make([]Network, 0, len(l.Networks)),
		Hosts:    make([]Host, 0, len(l.Hosts)),
	}
	for i := range l.Networks {
		t.Networks = append(t.Networks, l.Networks[i].Value.network(d, l.Networks[i].Key, l.Networks[i].at))
	}
	for i := range l.Hosts {
		t.Hosts = append(t.Hosts, l.Hosts[i].Value.host(d, l.Hosts[i].Key, l.Hosts[i].at))
	}
	for i := range l.Links {
		if c, ok := l.Links[i].link(d); ok {
			t.Links = append(t.Links, c)
		}
	}
	t.Expect = l.expectations(d, &t)
	return t
}

func (i *fileImpair) impairment() topo.Impairment {
	return topo.Impairment{Delay: i.Delay, Jitter: i.Jitter, Loss: float64(i.Loss), Rate: uint64(i.Rate)}
}

// within returns v if it is between 0 and hi. If not, it adds a mistake and returns 0.
func (d *decoder) within(at pos, key string, v, hi int) int {
	if v < 0 || v > hi {
		d.mistake(at, strconv.Itoa(v), fmt.Sprintf("%s: %d is out of range", key, v), fmt.Sprintf("the largest is %d", hi))
		return 0
	}
	return v
}

// maxFacts limits the number of facts that patterns expand to.
const maxFacts = 1 << 18

// expectations expands patterns: "h* -> gw: ping" is one fact for each host that matches
// h*. It replaces aliases by host names.
func (l *fileLab) expectations(d *decoder, t *Topology) []Expectation {
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
				d.mistake(x.at, "", "no host matches the pattern in "+x.String(), spell.DidYouMean("", hosts))
			}
			if len(out)+len(froms)*len(tos) > maxFacts {
				d.mistake(x.at, "", "the patterns make too many facts", "name fewer hosts; verify --all-pairs proves every pair")
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
