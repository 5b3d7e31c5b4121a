package topo

import (
	"fmt"
	"net/netip"
	"strconv"
)

// A Masquerade gives what leaves a private network the address of the link it
// leaves by.
type Masquerade struct {
	NS     string       // the router's
	Source netip.Prefix // the private network
	Out    string       // the link it has to leave by; "" means any
}

// Key implements [Object].
func (m Masquerade) Key() Key { return Key{OfNAT, m.NS, m.words()} }

// String is "nat masquerade -s 192.168.15.0/24".
func (m Masquerade) String() string { return in(m.NS) + m.words() }

func (m Masquerade) words() string {
	s := "nat masquerade -s " + m.Source.String()
	if m.Out != "" {
		s += " -o " + m.Out
	}
	return s
}

func (m Masquerade) needs() []Key        { return []Key{{OfNamespace, m.NS, ""}} }
func (m Masquerade) provides() []Key     { return []Key{m.Key()} }
func (m Masquerade) becomes(Object) bool { return false }
func (m Masquerade) normal() Object {
	m.Source = m.Source.Masked()
	return m
}

// A SourceNAT gives what leaves a private network a fixed address.
type SourceNAT struct {
	NS     string       // the router's
	Source netip.Prefix // the private network
	Out    string       // the link it has to leave by; "" means any
	To     netip.Addr   // the address outside sees, of Source's family
}

// Key implements [Object]; it does not hold To.
func (s SourceNAT) Key() Key {
	key := "nat snat -s " + s.Source.String()
	if s.Out != "" {
		key += " -o " + s.Out
	}
	return Key{OfNAT, s.NS, key}
}

// String is "nat snat -s 192.168.15.0/24 --to-source 198.51.100.7".
func (s SourceNAT) String() string {
	return in(s.NS) + s.Key().Name + " --to-source " + s.To.String()
}

func (s SourceNAT) needs() []Key        { return []Key{{OfNamespace, s.NS, ""}} }
func (s SourceNAT) provides() []Key     { return []Key{s.Key()} }
func (s SourceNAT) becomes(Object) bool { return true }
func (s SourceNAT) normal() Object {
	s.Source = s.Source.Masked()
	return s
}

// A Forward hands connections to ports over to another host (DNAT).
type Forward struct {
	NS    string // the router's
	Proto string // tcp, udp or sctp
	// Addr is the address connections are made to; invalid means any of the
	// router's own, of To's family.
	Addr        netip.Addr
	In          string     // the link they come in by; "" means any, and the router itself
	First, Last uint16     // the ports they are made to; Last may be 0 for First alone
	To          netip.Addr // the host they end at
	ToPort      uint16     // the port there that First leads to; 0 means First
}

// Key implements [Object]; it does not hold where it leads.
func (f Forward) Key() Key {
	f = f.normal().(Forward)
	key := "nat dnat -p " + f.Proto
	if f.Addr.IsValid() {
		key += " -d " + f.Addr.String()
	} else if f.To.Is6() {
		key += " -6" // both families may publish the same port
	}
	if f.In != "" {
		key += " -i " + f.In
	}
	return Key{OfNAT, f.NS, key + " --dport " + dportWords(f.First, f.Last)}
}

// String is "nat dnat -p tcp --dport 8080 --to-destination 192.168.15.2:80".
func (f Forward) String() string {
	first := or(f.ToPort, f.First)
	last := first + or(f.Last, f.First) - f.First
	to := netip.AddrPortFrom(f.To, first).String()
	if last != first {
		to += "-" + strconv.Itoa(int(last))
	}
	return in(f.NS) + f.Key().Name + " --to-destination " + to
}

func dportWords(first, last uint16) string {
	if last == first || last == 0 {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d:%d", first, last)
}

func (f Forward) needs() []Key        { return []Key{{OfNamespace, f.NS, ""}} }
func (f Forward) provides() []Key     { return []Key{f.Key()} }
func (f Forward) becomes(Object) bool { return true }
func (f Forward) normal() Object {
	f.Last, f.ToPort = or(f.Last, f.First), or(f.ToPort, f.First)
	return f
}

// An Isolation drops what would be forwarded from one link to another; it says
// nothing of the other direction. Hosts of one bridge are kept apart by
// Link.Isolated.
type Isolation struct {
	NS      string // the router's
	In, Out string // names of links
}

// Key implements [Object].
func (i Isolation) Key() Key { return Key{OfNAT, i.NS, "isolate " + i.In + " " + i.Out} }

// String is "isolate v-net-0 v-net-1".
func (i Isolation) String() string { return in(i.NS) + i.Key().Name }

func (i Isolation) needs() []Key        { return []Key{{OfNamespace, i.NS, ""}} }
func (i Isolation) provides() []Key     { return []Key{i.Key()} }
func (i Isolation) becomes(Object) bool { return false }
func (i Isolation) normal() Object      { return i }
