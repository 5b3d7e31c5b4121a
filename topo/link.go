package topo

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
)

// A Link has the properties that all kinds of network devices share. Bridge, Veth
// and the others contain it. Whether it is up is a separate object, [Up].
type Link struct {
	NS   string
	Name string // at most 15 bytes
	// AltName is an alternative name (ip-link(8)'s altname), up to 127 bytes; "" means none.
	AltName string
	// MAC is required, except for ipvlan and macvlan passthru, which have their parent's. An address that
	// the kernel chose would differ each time, and other programs might change it.
	MAC MAC
	MTU int // bytes; 0 means 1500
	// Master is the bridge whose port the link is, in the same namespace; "" means none.
	Master string
	// Isolated stops traffic between this port and the bridge's other isolated ports.
	Isolated bool
	// Hairpin lets the bridge send packets back to the port they came from.
	Hairpin bool
}

// Key implements [Object].
func (l Link) Key() Key { return Key{OfLink, l.NS, l.Name} }

// words returns the properties in ip-link(8)'s words.
func (l Link) words() string {
	var b strings.Builder
	b.WriteString("link " + l.Name)
	if !l.MAC.IsZero() {
		b.WriteString(" address " + l.MAC.String())
	}
	if l.MTU != 0 && l.MTU != linux.DefaultMTU {
		b.WriteString(" mtu " + strconv.Itoa(l.MTU))
	}
	if l.Master != "" {
		b.WriteString(" master " + l.Master)
	}
	if l.Isolated {
		b.WriteString(" isolated on")
	}
	if l.Hairpin {
		b.WriteString(" hairpin on")
	}
	return b.String()
}

func (l Link) needs() []Key {
	keys := []Key{{OfNamespace, l.NS, ""}}
	if l.Master != "" {
		keys = append(keys, Key{OfLink, l.NS, l.Master})
	}
	return keys
}

// LinkObject is an object with one link, or two (a veth pair).
type LinkObject interface {
	Object
	Links() []Link
	// Type returns ip-link(8)'s type: "bridge", "veth", "vlan" ….
	Type() string
	// parent returns the key of the link that this one is above; zero if there is none.
	parent() Key
}

// Links returns the link itself.
func (l Link) Links() []Link { return []Link{l} }

func (l Link) provides() []Key { return []Key{l.Key()} }
func (l Link) parent() Key     { return Key{} }

// rank puts bridges before their ports.
func (l Link) rank() int { return 2 }

// leastMTU6 is the smallest MTU for IPv6 (RFC 8200, section 5). The kernel removes
// the IPv6 addresses of a link with a smaller one.
const leastMTU6 = 1280

// CarriesIPv6 reports whether the MTU allows IPv6.
func (l Link) CarriesIPv6() bool { return l.MTU == 0 || l.MTU >= leastMTU6 }

// inPlace reports whether the kernel can change the properties in Link to those of next in place.
func (l Link) inPlace(next Link) bool {
	return l.Key() == next.Key() && l.CarriesIPv6() == next.CarriesIPv6()
}

func (l Link) normalLink() Link {
	if l.MTU == 0 {
		l.MTU = linux.DefaultMTU
	}
	if l.Master == "" {
		l.Isolated, l.Hairpin = false, false
	}
	return l
}

// A MAC is an Ethernet address. The zero value means that it is not set.
type MAC [6]byte

// ParseMAC reads an Ethernet address as ip(8) writes it, 02:00:5e:10:00:01.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("%q is not an Ethernet address", s)
	}
	return MAC(hw), nil
}

// IsZero reports whether m is not set.
func (m MAC) IsZero() bool { return m == MAC{} }

// MarshalText returns String as text, and no text for the zero value.
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// String returns m as ip(8) writes it.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }
