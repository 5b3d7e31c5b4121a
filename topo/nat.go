package topo

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/vnet-lab/vnet/internal/display"
)

// A Masquerade is a masquerade rule: packets from a private network get the address
// of the outgoing link as their source.
type Masquerade struct {
	NS     string       // the router's
	Source netip.Prefix // the private network
	Out    string       // the outgoing link; "" means any
}

// Key implements [Object].
func (m Masquerade) Key() Key { return Key{OfNAT, m.NS, m.words()} }

// String is "nat masquerade -s 192.168.15.0/24".
func (m Masquerade) String() string { return display.In(m.NS) + m.words() }

func (m Masquerade) words() string {
	s := "nat masquerade -s " + m.Source.String()
	if m.Out != "" {
		s += " -o " + m.Out
	}
	return s
}

func (m Masquerade) needs() []Key                               { return []Key{{OfNamespace, m.NS, ""}} }
func (m Masquerade) provides() []Key                            { return []Key{m.Key()} }
func (m Masquerade) canBecome(Object) bool                      { return false }
func (m Masquerade) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (m Masquerade) normal() Object {
	m.Source = m.Source.Masked()
	return m
}

// A SourceNAT is an SNAT rule: packets from a private network get a fixed source address.
type SourceNAT struct {
	NS     string       // the router's
	Source netip.Prefix // the private network
	Out    string       // the outgoing link; "" means any
	To     netip.Addr   // the new source address, of Source's family
}

// Key implements [Object]. It does not contain To.
func (s SourceNAT) Key() Key {
	key := "nat snat -s " + s.Source.String()
	if s.Out != "" {
		key += " -o " + s.Out
	}
	return Key{OfNAT, s.NS, key}
}

// String is "nat snat -s 192.168.15.0/24 --to-source 198.51.100.7".
func (s SourceNAT) String() string {
	return display.In(s.NS) + s.Key().Name + " --to-source " + s.To.String()
}

func (s SourceNAT) needs() []Key                                  { return []Key{{OfNamespace, s.NS, ""}} }
func (s SourceNAT) provides() []Key                               { return []Key{s.Key()} }
func (s SourceNAT) canBecome(Object) bool                         { return true }
func (s SourceNAT) commands(w *scriptWriter, step Step) []command { return w.natCommands(step) }
func (s SourceNAT) normal() Object {
	s.Source = s.Source.Masked()
	return s
}

// A Forward is a port forward (DNAT): connections to ports of the router go to a host.
type Forward struct {
	NS    string // the router's
	Proto string // tcp, udp or sctp
	// Addr is the destination address before the translation; invalid means any
	// address of the router, of To's family.
	Addr        netip.Addr
	In          string     // the incoming link; "" means any, and the router itself
	First, Last uint16     // the range of ports; Last 0 means First only
	To          netip.Addr // the host's address
	ToPort      uint16     // the host's port for First; 0 means First
}

// Key implements [Object]. It does not contain To and ToPort.
func (f Forward) Key() Key {
	f = f.normal().(Forward)
	key := "nat dnat -p " + f.Proto
	if f.Addr.IsValid() {
		key += " -d " + f.Addr.String()
	} else if f.To.Is6() {
		key += " -6" // both families may forward the same port
	}
	if f.In != "" {
		key += " -i " + f.In
	}
	return Key{OfNAT, f.NS, key + " --dport " + dportWords(f.First, f.Last)}
}

// String is "nat dnat -p tcp --dport 8080 --to-destination 192.168.15.2:80".
func (f Forward) String() string {
	first := cmp.Or(f.ToPort, f.First)
	last := first + cmp.Or(f.Last, f.First) - f.First
	to := netip.AddrPortFrom(f.To, first).String()
	if last != first {
		to += "-" + strconv.Itoa(int(last))
	}
	return display.In(f.NS) + f.Key().Name + " --to-destination " + to
}

func dportWords(first, last uint16) string {
	if last == first || last == 0 {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d:%d", first, last)
}

func (f Forward) needs() []Key                               { return []Key{{OfNamespace, f.NS, ""}} }
func (f Forward) provides() []Key                            { return []Key{f.Key()} }
func (f Forward) canBecome(Object) bool                      { return true }
func (f Forward) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (f Forward) normal() Object {
	f.Last, f.ToPort = cmp.Or(f.Last, f.First), cmp.Or(f.ToPort, f.First)
	return f
}

// An Isolation drops packets forwarded from one link to another, in this direction
// only. To isolate hosts of one bridge, use Link.Isolated.
type Isolation struct {
	NS      string // the router's
	In, Out string // names of links
}

// Key implements [Object].
func (i Isolation) Key() Key { return Key{OfNAT, i.NS, "isolate " + i.In + " " + i.Out} }

// String is "isolate v-net-0 v-net-1".
func (i Isolation) String() string { return display.In(i.NS) + i.Key().Name }

func (i Isolation) needs() []Key                               { return []Key{{OfNamespace, i.NS, ""}} }
func (i Isolation) provides() []Key                            { return []Key{i.Key()} }
func (i Isolation) canBecome(Object) bool                      { return false }
func (i Isolation) commands(w *scriptWriter, s Step) []command { return w.natCommands(s) }
func (i Isolation) normal() Object                             { return i }
