package topo

import (
	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A Port puts a link that the lab did not create into a bridge of the lab: an uplink,
// for example the machine's eth0. vnet never deletes the link.
type Port struct {
	NS     string
	Link   string
	Master string // the bridge
}

// Key implements [Object].
func (p Port) Key() Key { return Key{OfPort, p.NS, p.Link} }

// String is "link eth0 master v-net-0".
func (p Port) String() string { return display.In(p.NS) + "link " + p.Link + " master " + p.Master }

func (p Port) needs() []Key {
	return []Key{{OfNamespace, p.NS, ""}, {OfLink, p.NS, p.Master}}
}
func (p Port) provides() []Key       { return []Key{p.Key()} }
func (p Port) canBecome(Object) bool { return true }
func (p Port) normal() Object        { return p }

// commands returns commands that also record the former master of the link.
func (p Port) commands(w *scriptWriter, s Step) []command {
	set := command{p.NS, "ip", "link set dev " + p.Link + " master " + p.Master}
	dev := shellWord(p.Link)
	link := w.tool("ip", p.NS) + "-o link show dev " + dev
	property := w.tool("ip", p.NS) + "link property "
	record := shellWord(mark.Port(w.lab))
	switch s.Op() {
	case Create:
		was := `"$(` + link + ` | sed -n 's/.* master \([^ ]*\) .*/\1/p')@"` + dev
		return []command{{text: property + "add dev " + dev + " altname " + record + was}, set}
	case Delete:
		find := `was=$(` + link + ` | tr ' \\' '\n\n' | grep -F ` + record + `)`
		restore := `master=${was##*=} master=${master%@*}; ` + w.tool("ip", p.NS) + "link set dev " + dev +
			` ${master:+master} ${master:-nomaster}`
		return []command{{text: find}, {text: restore}, {text: property + "del dev " + dev + ` altname "$was"`}}
	}
	return []command{set}
}
