package nft

import (
	"errors"
	"fmt"
	"net/netip"
)

// SourceNAT gives what leaves a private network a fixed address. It goes before
// [Masquerade], and like it leaves alone what stays inside.
type SourceNAT struct {
	Source netip.Prefix // the private network
	Out    string       // the link it has to leave by; "" means any
	To     netip.Addr   // the address outside sees, of Source's family
}

// String prints the rule in nft's words: ip saddr 192.168.15.0/24 snat ip to 198.51.100.7.
func (s SourceNAT) String() string {
	return egressWords(s.Source, s.Out) + fmt.Sprintf("snat %s to %s", ipWord(s.To), s.To)
}

// Check says what is wrong with the rule, or nil.
func (s SourceNAT) Check() error {
	err := errors.Join(checkDevice(s.Out), checkTarget(s.To))
	switch {
	case err != nil:
	case !s.Source.IsValid():
		err = errors.New("no source is given")
	case s.Source.Bits() == 0 && s.Out == "":
		err = errors.New("a source of every address needs a device")
	case s.Source.Addr().Is4() != s.To.Is4():
		err = errors.New("source and target differ in family")
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

// sourceNATOf reads an element of one of the snat maps.
func sourceNATOf(e element, s set) (Rule, error) {
	source, out, err := egressOf(e, s)
	to, _ := netip.AddrFromSlice([]byte(e.data))
	return SourceNAT{Source: source, Out: out, To: to}, err
}
