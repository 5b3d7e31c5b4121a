package topo

import (
	"strconv"

	"github.com/vnet-lab/vnet/internal/mark"
)

// netnsWord returns a namespace for ip-link(8)'s netns option. The machine's namespace is
// that of process 1.
func (w *scriptWriter) netnsWord(ns string) string {
	if ns == "" {
		return "1"
	}
	return w.refOf(ns)
}

// creationWords returns, in ip-link(8)'s words, the properties that it can set when it creates a link; see
// atCreation.
func creationWords(l Link) string {
	s := l.Name
	if !l.MAC.IsZero() {
		s += " address " + l.MAC.String()
	}
	if l.MTU != 0 {
		s += " mtu " + strconv.Itoa(l.MTU)
	}
	return s
}

// atCreation returns the link with only those properties that creationWords has.
func atCreation(l Link) Link { return Link{NS: l.NS, Name: l.Name, MAC: l.MAC, MTU: l.MTU} }

// linkCommands returns the commands that create or change a link. kind is the end of the command,
// from " type" on. parent is zero if there is none; it may be in another namespace.
func (w *scriptWriter) linkCommands(s Step, l Link, parent Key, kind string) []command {
	if s.Op() == Change {
		return setLink(s.Have.(LinkObject).Links()[0], l, "")
	}
	text, from := "link add name "+creationWords(l), l.NS
	if parent.Name != "" {
		text += " link " + parent.Name
		if from = parent.NS; from != l.NS {
			text += " netns " + w.netnsWord(l.NS)
		}
	}
	return append([]command{{from, "ip", text + kind}}, setLink(atCreation(l), l, w.markWords(l))...)
}

// markWords returns the mark of a new link, for ip-link(8).
func (w *scriptWriter) markWords(l Link) string {
	words := " alias " + mark.Of(w.lab)
	if n, _ := w.state[Key{OfNamespace, l.NS, ""}].(Namespace); l.Master == "" && (l.NS == "" || n.From != "") {
		words += " group " + strconv.Itoa(mark.LinkGroup)
	}
	return words
}

// setLink changes the properties that differ. A new link also gets its mark; see markWords.
func setLink(was, l Link, markWords string) []command {
	set := ""
	if was.MAC != l.MAC && !l.MAC.IsZero() {
		set += " address " + l.MAC.String()
	}
	if was.MTU != l.MTU {
		set += " mtu " + strconv.Itoa(l.MTU)
	}
	switch {
	case was.Master != l.Master && l.Master == "":
		set += " nomaster"
	case was.Master != l.Master:
		set += " master " + l.Master
	}
	set += markWords
	var cmds []command
	if set != "" {
		cmds = append(cmds, command{l.NS, "ip", "link set dev " + l.Name + set})
	}
	if l.Master != "" && (was.Isolated != l.Isolated || was.Hairpin != l.Hairpin) {
		port := " isolated " + onOff(l.Isolated) + " hairpin " + onOff(l.Hairpin)
		cmds = append(cmds, command{l.NS, "ip", "link set dev " + l.Name + " type bridge_slave" + port})
	}
	if was.AltName != "" && was.AltName != l.AltName {
		cmds = append(cmds, command{l.NS, "ip", "link property del dev " + l.Name + " altname " + was.AltName})
	}
	if l.AltName != "" && was.AltName != l.AltName {
		cmds = append(cmds, command{l.NS, "ip", "link property add dev " + l.Name + " altname " + l.AltName})
	}
	return cmds
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
