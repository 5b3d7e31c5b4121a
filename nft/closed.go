package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Own is a link of the lab in this namespace. Packets that arrive on this link may go to [Closed] links. Every [Gate]
// accepts packets of known connections from addresses behind this link, whatever link they arrive on.
type Own struct{ Link string }

// String returns the element in nft's syntax: element own { "v-net-0" }.
func (o Own) String() string { return fmt.Sprintf("element own { %q }", o.Link) }

// Check returns an error if the rule is invalid.
func (o Own) Check() error { return invalid(o, checkLink(o.Link)) }

func (o Own) elements() []element { return []element{{set: "own", key: encodeName(o.Link)}} }

func decodeOwn(e element, _ set) (Rule, error) { return Own{decodeName(e.key)}, nil }

// Closed drops packets that are forwarded to a link from another link that is not [Own], except those to forwarded
// ports, those from the sources of an [Allow], and those of connections that began at the link. It does not affect
// packets that a bridge passes between its ports.
type Closed struct{ Link string }

// String returns the rule in nft's syntax: oifname "v-net-0" iifname != @own drop.
func (c Closed) String() string { return fmt.Sprintf("oifname %q iifname != @own drop", c.Link) }

// Check returns an error if the rule is invalid.
func (c Closed) Check() error { return invalid(c, checkLink(c.Link)) }

func (c Closed) elements() []element { return []element{{set: "closed", key: encodeName(c.Link)}} }

func decodeClosed(e element, _ set) (Rule, error) { return Closed{decodeName(e.key)}, nil }

// Allow lets packets from a source pass to a [Closed] link. They may arrive on any link.
type Allow struct {
	Link   string       // the closed link
	Source netip.Prefix // 0.0.0.0/0 or ::/0 means all sources of the family
}

// String returns the rule in nft's syntax: ip saddr 10.0.0.0/8 oifname "v-net-0" return.
func (a Allow) String() string { return egressMatchText(a.Source, a.Link) + "return" }

// Check returns an error if the rule is invalid.
func (a Allow) Check() error {
	err := checkLink(a.Link)
	switch {
	case err != nil:
	case !a.Source.IsValid():
		err = errors.New("expected a source")
	default:
		err = checkSource(a.Source)
	}
	return invalid(a, err)
}

func (a Allow) elements() []element {
	e := egressElement(a.Source, a.Link)
	e.set = withLength("allow"+familyDigit(a.Source.Addr()), a.Source.Bits())
	return []element{e}
}

func decodeAllow(e element, s set) (Rule, error) {
	source, link, err := decodeEgress(e, s)
	return Allow{Link: link, Source: source}, err
}

// Gate is a MAC address of a link. The kernel routes packets to this address. Packets that a bridge passes between its
// ports have other destination addresses; rules see them, too, if net.bridge.bridge-nf-call-iptables is on. A bridge
// accepts packets at its own address and at those of its ports: each of these addresses needs a Gate.
//
// A packet to a Gate is dropped if its source address is not behind the link. An address is behind a link if the route
// to it leaves through that link. Packets in frames to broadcast, multicast and reserved addresses are dropped, too, if
// this namespace would accept them. Packets of known connections pass from addresses behind links in [Own].
type Gate struct {
	Link string
	MAC  MAC
}

// MAC is an Ethernet address.
type MAC [6]byte

// String returns the address as ip(8) prints it: 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// String returns the element in nft's syntax: element gate { "v-net-0" . 02:00:00:00:00:01 }.
func (g Gate) String() string { return fmt.Sprintf("element gate { %q . %s }", g.Link, g.MAC) }

// Check returns an error if the rule is invalid.
func (g Gate) Check() error {
	err := checkLink(g.Link)
	if err == nil && (g.MAC == MAC{} || g.MAC[0]&1 != 0) {
		err = fmt.Errorf("%s is not the address of a link", g.MAC)
	}
	return invalid(g, err)
}

func (g Gate) elements() []element {
	return []element{{set: "gate", key: encodeName(g.Link) + string(g.MAC[:]) + "\x00\x00"}}
}

func decodeGate(e element, _ set) (Rule, error) {
	return Gate{decodeName(e.key[:nameSize]), decodeMAC(e.key[nameSize:])}, nil
}

func decodeMAC(b string) (m MAC) {
	copy(m[:], b)
	return m
}

// checkLink returns an error if name is empty or not a valid name of a link.
func checkLink(name string) error {
	if name == "" {
		return errors.New("expected a device")
	}
	return checkDevice(name)
}

// Isolate drops packets that are forwarded from one link to another, except those of connections to forwarded ports. If
// no other Isolate forbids the opposite direction, it also accepts replies and ICMP errors of connections that began
// there. It does not affect packets that a bridge passes between its ports.
//
// If In and Out are the same link, it drops packets between neighbours that use this namespace as their gateway. If the
// table has a [Gate], the link needs one too: then only packets to a gate are dropped.
type Isolate struct {
	In, Out string // names of links
}

// String returns the rule in nft's syntax: iifname "v-net-0" oifname "v-net-1" drop.
func (i Isolate) String() string { return fmt.Sprintf("iifname %q oifname %q drop", i.In, i.Out) }

// Check returns an error if the rule is invalid.
func (i Isolate) Check() error {
	err := errors.Join(checkDevice(i.In), checkDevice(i.Out))
	if err == nil && (i.In == "" || i.Out == "") {
		err = errors.New("expected two devices")
	}
	return invalid(i, err)
}

func (i Isolate) elements() []element {
	e := element{set: "isolate", key: encodeName(i.In) + encodeName(i.Out)}
	if i.In == i.Out {
		e.set = "isolate_link"
	}
	return []element{e}
}

// decodeIsolate decodes an element of an isolate set.
func decodeIsolate(e element, _ set) (Rule, error) {
	return Isolate{In: decodeName(e.key[:16]), Out: decodeName(e.key[16:])}, nil
}

// Tenant notes that a member of a network has or had an address, so conntrack may have connections of this address. No
// rule for packets uses it.
type Tenant struct{ Addr netip.Addr }

// String returns the element in nft's syntax: element tenant4 { 10.77.0.5 }.
func (t Tenant) String() string {
	return fmt.Sprintf("element tenant%s { %s }", familyDigit(t.Addr), t.Addr)
}

// Check returns an error if the address is invalid.
func (t Tenant) Check() error { return invalid(t, checkTarget(t.Addr)) }

func (t Tenant) elements() []element {
	return []element{{set: "tenant" + familyDigit(t.Addr), key: string(t.Addr.AsSlice())}}
}

func decodeTenant(e element, s set) (Rule, error) {
	a, _ := netip.AddrFromSlice([]byte(e.key[:s.key[0].size]))
	return Tenant{a}, nil
}
