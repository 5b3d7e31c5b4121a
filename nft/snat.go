package nft

import (
	"errors"
	"fmt"
	"net/netip"
)

// SourceNAT translates the source address of packets that leave a private network to a fixed address. It takes
// precedence over [Masquerade], and has the same exceptions.
type SourceNAT struct {
	Source netip.Prefix // the private network
	Out    string       // the output link; "" means any
	To     netip.Addr   // the new source address, of Source's family
}

// String returns the rule in nft's syntax: ip saddr 192.168.15.0/24 snat ip to 198.51.100.7.
func (s SourceNAT) String() string {
	return egressMatchText(s.Source, s.Out) + fmt.Sprintf("snat %s to %s", familyKeyword(s.To), s.To)
}

// Check returns an error if the rule is invalid.
func (s SourceNAT) Check() error {
	err := errors.Join(checkDevice(s.Out), checkTarget(s.To))
	switch {
	case err != nil:
	case !s.Source.IsValid():
		err = errors.New("expected a source")
	case s.Source.Bits() == 0 && s.Out == "":
		err = errors.New("a source with prefix length 0 needs a device")
	case s.Source.Addr().Is4() != s.To.Is4():
		err = errors.New("source and target have different address families")
	default:
		err = checkSource(s.Source)
	}
	return invalid(s, err)
}

func (s SourceNAT) elements() []element {
	e := egressElement(s.Source, s.Out)
	e.set, e.data = "snat"+e.set, string(s.To.AsSlice())
	return []element{e}
}

// decodeSourceNAT decodes an element of an snat map.
func decodeSourceNAT(e element, s set) (Rule, error) {
	source, out, err := decodeEgress(e, s)
	to, _ := netip.AddrFromSlice([]byte(e.data))
	return SourceNAT{Source: source, Out: out, To: to}, err
}
