package nft

import (
	"errors"
	"fmt"
	"net/netip"
)

// Forward forwards connections to a port to another host (DNAT). If several match, the order is: those with a device
// and an address, with an address, with a device, with neither. A single port goes before a range.
type Forward struct {
	Proto Proto
	// Addr is the original destination address. It can be an address of any host. Zero means every local address of
	// To's family.
	Addr netip.Addr
	// In is the input link; "" means any, and also connections of the namespace itself.
	In string
	// Ports is the original destination port or range.
	Ports Ports
	// To is the new destination address.
	To netip.Addr
	// ToPort is the new destination port for Ports.First; the rest of a range follows in order. Zero is invalid: use
	// Ports.First to keep the port. A range that keeps its ports is one element of a map; with other target ports
	// it is one element per port.
	ToPort uint16
}

// String returns the rule in nft's syntax: tcp dport 80 dnat ip to 192.168.15.2:8080.
func (f Forward) String() string {
	return fmt.Sprintf("%s%s dport %s dnat %s to %s", f.matchText(), f.Proto, f.Ports, familyKeyword(f.To), f.target())
}

func (f Forward) matchText() string {
	var text string
	if f.In != "" {
		text = fmt.Sprintf("iifname %q ", f.In)
	}
	if f.Addr.IsValid() {
		text += fmt.Sprintf("%s daddr %s ", familyKeyword(f.Addr), f.Addr)
	}
	return text
}

// target returns the address and ports after "to".
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

// keepsRange reports whether a range has the same ports on the target.
func (f Forward) keepsRange() bool { return f.Ports.size() > 1 && f.ToPort == f.Ports.First }

// Check returns an error if the rule is invalid.
func (f Forward) Check() error {
	return invalid(f, errors.Join(f.checkMatch(), f.checkTarget()))
}

func (f Forward) checkMatch() error {
	switch f.Proto {
	case TCP, UDP, SCTP:
	default:
		return fmt.Errorf("protocol %s: expected tcp, udp or sctp", f.Proto)
	}
	if f.Addr.Is4In6() || f.Addr.Zone() != "" || f.Addr.IsValid() && (f.Addr.IsUnspecified() || f.Addr.IsMulticast()) {
		return fmt.Errorf("cannot forward connections to %s", f.Addr)
	}
	if f.Addr == netip.IPv6Loopback() {
		return errors.New("the kernel cannot forward connections to ::1; use another address of the machine")
	}
	if f.Addr.Is6() && f.Addr.IsLinkLocalUnicast() {
		return errors.New("the kernel does not forward packets from link-local addresses; use another address of the machine")
	}
	return errors.Join(checkDevice(f.In), f.Ports.check())
}

func (f Forward) checkTarget() error {
	if err := checkTarget(f.To); err != nil {
		return err
	}
	if f.Addr.IsValid() && f.Addr.Is4() != f.To.Is4() {
		return fmt.Errorf("cannot forward %s to %s: different address families", f.Addr, f.To)
	}
	if f.ToPort == 0 {
		return errors.New("expected a target port")
	}
	if int(f.ToPort)+f.Ports.size()-1 > 0xffff {
		return fmt.Errorf("%d target ports from %d exceed 65535", f.Ports.size(), f.ToPort)
	}
	return nil
}

// setName returns the name of the map that contains the forward; see forwardSets.
func (f Forward) setName() string {
	name := "dnat" + familyDigit(f.To)
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

// element returns the element of one port. A range that keeps its ports has a single element.
func (f Forward) element(port uint16) element {
	e := element{set: f.setName(), key: f.key(port), data: string(f.To.AsSlice())}
	if f.keepsRange() {
		e.end = f.key(f.Ports.Last)
		return e
	}
	e.data += encodePort(f.ToPort + (port - f.Ports.First))
	if f.Ports.size() > 1 {
		e.comment = f.Ports.String() // marks the element as a part of a range
	}
	return e
}

// decodeForward decodes an element of a dnat map. An element of a range with other target ports yields the whole
// range.
func decodeForward(e element, s set) (Rule, error) {
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
	return f.rangeFromComment(e.comment)
}

// rangeFromComment extends a forward of one port to the range in the comment.
func (f Forward) rangeFromComment(comment string) (Rule, error) {
	if comment == "" {
		return f, nil
	}
	var p Ports
	port := f.Ports.First
	if _, err := fmt.Sscanf(comment, "%d-%d", &p.First, &p.Last); err != nil || port < p.First || port > p.Last {
		return f, nil // a foreign comment
	}
	f.Ports, f.ToPort = p, f.ToPort-(port-p.First)
	return f, nil
}
