package nft

import (
	"errors"
	"fmt"
	"net/netip"
)

// Forward hands connections to a port over to another host (DNAT). Where several
// match, the one with a device and an address goes first, then an address, then a
// device; and a single port goes before a range.
type Forward struct {
	Proto Proto
	// Addr is the address connections are made to; it need not be one of the
	// machine's. Zero means any that is, of To's family.
	Addr netip.Addr
	// In is the link they come in by; "" means any, and the machine itself too.
	In string
	// Ports are the ports they are made to.
	Ports Ports
	// To is the host they end at.
	To netip.Addr
	// ToPort is the port there that Ports.First leads to; the others follow in
	// order. Zero means nothing: repeat Ports.First to keep the port. A range that
	// keeps its ports is one element of a map, one that moves is an element a port.
	ToPort uint16
}

// String prints the rule in nft's words: tcp dport 80 dnat ip to 192.168.15.2:8080.
func (f Forward) String() string {
	return fmt.Sprintf("%s%s dport %s dnat %s to %s", f.matchWords(), f.Proto, f.Ports, ipWord(f.To), f.target())
}

func (f Forward) matchWords() string {
	var words string
	if f.In != "" {
		words = fmt.Sprintf("iifname %q ", f.In)
	}
	if f.Addr.IsValid() {
		words += fmt.Sprintf("%s daddr %s ", ipWord(f.Addr), f.Addr)
	}
	return words
}

// target is the address and ports behind "to".
func (f Forward) target() string {
	to := netip.AddrPortFrom(f.To, f.ToPort).String()
	switch {
	case f.keepsRange():
		return f.To.String()
	case f.Ports.size() > 1:
		return fmt.Sprintf("%s-%d", to, int(f.ToPort)+f.Ports.size()-1)
	}
	return to
}

// keepsRange says that many ports lead to the same ones of the target.
func (f Forward) keepsRange() bool { return f.Ports.size() > 1 && f.ToPort == f.Ports.First }

// Check says what is wrong with the rule, or nil.
func (f Forward) Check() error {
	return invalid(f, errors.Join(f.checkMatch(), f.checkTarget()))
}

func (f Forward) checkMatch() error {
	switch f.Proto {
	case TCP, UDP, SCTP:
	default:
		return fmt.Errorf("protocol %s has no ports to forward", f.Proto)
	}
	if f.Addr.Is4In6() || f.Addr.Zone() != "" || f.Addr.IsValid() && (f.Addr.IsUnspecified() || f.Addr.IsMulticast()) {
		return fmt.Errorf("%s is no address to forward from", f.Addr)
	}
	if f.Addr == netip.IPv6Loopback() {
		return errors.New("the kernel cannot forward what is sent to ::1; use another address of the machine")
	}
	return errors.Join(checkDevice(f.In), f.Ports.check())
}

func (f Forward) checkTarget() error {
	if err := checkTarget(f.To); err != nil {
		return err
	}
	if f.Addr.IsValid() && f.Addr.Is4() != f.To.Is4() {
		return fmt.Errorf("cannot forward %s to %s: families differ", f.Addr, f.To)
	}
	if f.ToPort == 0 {
		return errors.New("no port to lead to")
	}
	if int(f.ToPort)+f.Ports.size()-1 > 0xffff {
		return fmt.Errorf("%d ports from %d on go beyond 65535", f.Ports.size(), f.ToPort)
	}
	return nil
}

// setName says which map it is in; see forwardSets.
func (f Forward) setName() string {
	name := "dnat" + digit(f.To)
	if f.In != "" {
		name += "_dev"
	}
	if f.Addr.IsValid() {
		name += "_addr"
	}
	if f.keepsRange() {
		name += "_range"
	}
	return name
}

func (f Forward) key(port uint16) string {
	var key string
	if f.In != "" {
		key = encodeName(f.In)
	}
	if f.Addr.IsValid() {
		key += string(f.Addr.AsSlice())
	}
	return key + encodeProto(f.Proto) + encodePort(port)
}

func (f Forward) elements() []element {
	if f.keepsRange() {
		return []element{f.element(f.Ports.First)}
	}
	all := make([]element, f.Ports.size())
	for i := range all {
		all[i] = f.element(f.Ports.First + uint16(i))
	}
	return all
}

// element is that of one of its ports; of a range that keeps them, the only one.
func (f Forward) element(port uint16) element {
	e := element{set: f.setName(), key: f.key(port), data: string(f.To.AsSlice())}
	if f.keepsRange() {
		e.end = f.key(f.Ports.Last)
		return e
	}
	e.data += encodePort(f.ToPort + (port - f.Ports.First))
	if f.Ports.size() > 1 {
		e.comment = f.Ports.String() // tells that the element is one of a range
	}
	return e
}

// forwardOf reads an element of one of the dnat maps. An element of a range that
// moves stands for the whole range.
func forwardOf(e element, s set) (Rule, error) {
	var f Forward
	rest := e.key
	for _, field := range s.key {
		value := rest[:field.padded()]
		rest = rest[field.padded():]
		switch field {
		case ifname:
			f.In = decodeName(value)
		case ipv4Addr, ipv6Addr:
			f.Addr, _ = netip.AddrFromSlice([]byte(value))
		case inetProto:
			f.Proto = Proto(value[0])
		case inetService:
			f.Ports = Port(decodePort(value))
		}
	}
	size := s.data[0].size
	f.To, _ = netip.AddrFromSlice([]byte(e.data[:size]))
	if s.interval {
		f.Ports.Last, f.ToPort = decodePort(e.end[len(e.end)-4:]), f.Ports.First
		return f, nil
	}
	f.ToPort = decodePort(e.data[size:])
	return f.wholeRange(e.comment)
}

// wholeRange widens a forward of one port to the range that its comment names.
func (f Forward) wholeRange(comment string) (Rule, error) {
	if comment == "" {
		return f, nil
	}
	var p Ports
	port := f.Ports.First
	if _, err := fmt.Sscanf(comment, "%d-%d", &p.First, &p.Last); err != nil || port < p.First || port > p.Last {
		return f, nil // somebody else's comment
	}
	f.Ports, f.ToPort = p, f.ToPort-(port-p.First)
	return f, nil
}
