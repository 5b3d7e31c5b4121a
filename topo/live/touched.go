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

// touchedLinks says which links may change with an object.
type touchedLinks uint8

const (
	// ownOrAllLinks are the links that the object provides and needs. If one of them existed before
	// the plan, they are all links of its namespace.
	ownOrAllLinks touchedLinks = iota
	ownLinks                   // the links that the object provides and needs
	allLinks                   // all links of the namespace
	noLinks
)

// touchedLinksOf has the links that objects of a kind touch; ownOrAllLinks for the other kinds.
var touchedLinksOf = map[topo.Kind]touchedLinks{
	topo.OfLink: ownLinks, topo.OfRoute: ownLinks,
	topo.OfPort: allLinks, topo.OfSysctl: allLinks, topo.OfProcess: allLinks,
	topo.OfFile: noLinks,
}

// touchedBy returns what the plan may change. If it changes or deletes a link, objects that
// depend on the link may change in any namespace, so everything is touched.
func touchedBy(p topo.Plan) touched {
	t := touched{links: map[string]map[string]bool{}}
	created := map[topo.Key]bool{} // links
	var objects []topo.Object
	for _, s := range p {
		if s.Have != nil && s.Have.Key().Kind == topo.OfLink {
			return touched{all: true}
		}
		for _, o := range []topo.Object{s.Have, s.Want} {
			if o == nil || touchedLinksOf[o.Key().Kind] == noLinks {
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
	links, ns := touchedLinksOf[o.Key().Kind], o.Key().NS
	for _, k := range append(topo.Provides(o), topo.Needs(o)...) {
		names := t.links[k.NS]
		if k.Kind != topo.OfLink || names == nil {
			continue
		}
		names[k.Name] = true
		if links != ownLinks && k.Name != "lo" && !created[k] {
			t.links[k.NS] = nil
		}
	}
	if links == allLinks {
		t.links[ns] = nil
	}
}
