package topo

import (
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
)

// A BridgeVLAN adds a bridge's port, or the bridge itself, to a VLAN, as bridge(8)
// does with "vlan add".
type BridgeVLAN struct {
	NS   string
	Link string // the port, or the bridge itself
	ID   uint16 // 1–4094
	// Untagged sends packets of the VLAN without a tag. PVID puts received packets
	// without a tag into the VLAN; a port has at most one.
	Untagged, PVID bool
}

// Key implements [Object].
func (v BridgeVLAN) Key() Key {
	return Key{OfBridgeVLAN, v.NS, "dev " + v.Link + " vid " + strconv.Itoa(int(v.ID))}
}

// String is "vlan dev red-eth0 vid 10 pvid untagged".
func (v BridgeVLAN) String() string { return display.In(v.NS) + v.words() }

func (v BridgeVLAN) words() string {
	s := "vlan " + v.Key().Name
	if v.PVID {
		s += " pvid"
	}
	if v.Untagged {
		s += " untagged"
	}
	return s
}

func (v BridgeVLAN) needs() []Key {
	return []Key{{OfLink, v.NS, v.Link}, {OfPort, v.NS, v.Link}}
}
func (v BridgeVLAN) provides() []Key       { return []Key{v.Key()} }
func (v BridgeVLAN) canBecome(Object) bool { return true }
func (v BridgeVLAN) normal() Object        { return v }

func (v BridgeVLAN) onLink() Key { return Key{OfLink, v.NS, v.Link} }

func (v BridgeVLAN) commands(w *scriptWriter, s Step) []command {
	verb := "add"
	if s.Want == nil {
		verb = "del"
	}
	text := "vlan " + verb + strings.TrimPrefix(v.words(), "vlan")
	if _, ok := w.state[v.onLink()].(Bridge); ok {
		text += " self"
	}
	return []command{{v.NS, "bridge", text}}
}
