package topo

import "github.com/vnet-lab/vnet/internal/display"

// A NoOffload turns off transmit checksum offload of a link. A virtual link has no
// hardware that fills in checksums. Raw sockets and virtual machines behind it would
// see wrong ones.
type NoOffload struct {
	NS   string
	Link string
}

// Key implements [Object].
func (n NoOffload) Key() Key { return Key{OfOffload, n.NS, n.Link} }

// String is "red: offload dev eth0 off".
func (n NoOffload) String() string { return display.In(n.NS) + "offload dev " + n.Link + " off" }

func (n NoOffload) needs() []Key          { return []Key{{OfLink, n.NS, n.Link}} }
func (n NoOffload) provides() []Key       { return []Key{n.Key()} }
func (n NoOffload) canBecome(Object) bool { return true }
func (n NoOffload) normal() Object        { return n }
