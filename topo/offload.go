package topo

import (
	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A NoOffload turns off transmit checksum offload of a link. A virtual link has no
// hardware that fills in checksums. Raw sockets and virtual machines behind it would
// see wrong checksums.
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

func (n NoOffload) feature() string { return linux.FeatureEthtool }

// commands returns commands that use ethtool. They also write a record on the link, because vnet reads the offload only
// of links with this record.
func (n NoOffload) commands(w *scriptWriter, s Step) []command {
	altname := shellWord(mark.Offload(w.lab, n.Link))
	record := command{n.NS, "ip", "link property " + ipVerb(s) + " dev " + shellWord(n.Link) + " altname " + altname}
	if s.Want == nil {
		return []command{w.netnsExec(n.NS, "ethtool -K "+shellWord(n.Link)+" tx on"), record}
	}
	return []command{record, w.netnsExec(n.NS, "ethtool -K "+shellWord(n.Link)+" tx off")}
}
