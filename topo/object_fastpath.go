package topo

// A Fastpath is one of the links of a router between which established connections of TCP
// and UDP pass by routing and rules: a device of its flowtable. One alone does nothing.
type Fastpath struct {
	NS   string // the router's
	Link string
	Port bool // it is a port of a switch that is one of the links
}

// Key implements [Object].
func (f Fastpath) Key() Key { return Key{OfNAT, f.NS, "fastpath " + f.Link} }

// String is "fastpath v-net-0", or "fastpath red-eth0 port".
func (f Fastpath) String() string {
	if f.Port {
		return in(f.NS) + f.Key().Name + " port"
	}
	return in(f.NS) + f.Key().Name
}

func (f Fastpath) needs() []Key        { return []Key{{OfNamespace, f.NS, ""}, {OfLink, f.NS, f.Link}} }
func (f Fastpath) provides() []Key     { return []Key{f.Key()} }
func (f Fastpath) becomes(Object) bool { return true }
func (f Fastpath) normal() Object      { return f }
