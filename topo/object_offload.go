package topo

// A NoOffload makes a link fill in the checksums of what it sends itself: raw sockets
// and virtual machines behind it would take those that are left to the hardware, of
// which a virtual link has none, for wrong.
type NoOffload struct {
	NS   string
	Link string
}

// Key implements [Object].
func (n NoOffload) Key() Key { return Key{OfOffload, n.NS, n.Link} }

// String is "red: offload dev eth0 off".
func (n NoOffload) String() string { return in(n.NS) + "offload dev " + n.Link + " off" }

func (n NoOffload) needs() []Key        { return []Key{{OfLink, n.NS, n.Link}} }
func (n NoOffload) provides() []Key     { return []Key{n.Key()} }
func (n NoOffload) becomes(Object) bool { return true }
func (n NoOffload) normal() Object      { return n }
