package live

import "github.com/vnet-lab/vnet/topo"

// A touched has the namespaces in which a plan may change more than files, and the links there.
type touched struct {
	all   bool                       // all links of all namespaces
	links map[string]map[string]bool // names of links by namespace; a nil map means all links
}

// of reports whether a namespace is touched, and which of its links; nil means all.
func (t touched) of(ns string) (links map[string]bool, is bool) {
	links, is = t.links[ns]
	return links, is || t.all
}

// touches says which links may change with an object.
type touches uint8

const (
	aNewLink     touches = iota // a new link; of a link that existed before, also others
	itsLink                     // the links that the object provides and needs
	itsNamespace                // all links of the namespace
	nothing
)

// touchesOf has the kinds with other touches than aNewLink.
var touchesOf = map[topo.Kind]touches{
	topo.OfLink: itsLink, topo.OfRoute: itsLink,
	topo.OfPort: itsNamespace, topo.OfSysctl: itsNamespace, topo.OfProcess: itsNamespace,
	topo.OfFile: nothing,
}

// touchedBy returns what the plan may change. If a link is changed or deleted, objects that
// depend on it may change in any namespace: everything is touched. A step on a link that
// existed before, a setting or a program may change other links of the namespace: all its
// links are touched.
func touchedBy(p topo.Plan) touched {
	t := touched{links: map[string]map[string]bool{}}
	created := map[topo.Key]bool{} // links
	var objects []topo.Object
	for _, s := range p {
		if s.Have != nil && s.Have.Key().Kind == topo.OfLink {
			return touched{all: true}
		}
		for _, o := range []topo.Object{s.Have, s.Want} {
			if o == nil || touchesOf[o.Key().Kind] == nothing {
				continue
			}
			objects = append(objects, o)
			for _, k := range append(topo.Provides(o), o.Key()) {
				t.links[k.NS] = map[string]bool{"lo": true} // lo has the records
				created[k] = k.Kind == topo.OfLink
			}
		}
	}
	for _, o := range objects {
		t.add(o, created)
	}
	return t
}

func (t touched) add(o topo.Object, created map[topo.Key]bool) {
	touches, ns := touchesOf[o.Key().Kind], o.Key().NS
	for _, k := range append(topo.Provides(o), topo.Needs(o)...) {
		names := t.links[k.NS]
		if k.Kind != topo.OfLink || names == nil {
			continue
		}
		names[k.Name] = true
		if touches != itsLink && k.Name != "lo" && !created[k] {
			t.links[k.NS] = nil
		}
	}
	if touches == itsNamespace {
		t.links[ns] = nil
	}
}
