package topo

import (
	"fmt"
	"net"
)

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
