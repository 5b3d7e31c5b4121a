package nft

import (
	"errors"
	"fmt"
	"net/netip"
)

// SourceNAT translates the source address of packets that leave a private network to a fixed address. It has
// the same precedence and exceptions as [Masquerade].
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

// overridden returns the parts of Masquerade and SourceNAT rules that added rules override: those with their more
// specific sources.
func overridden(rules map[Rule]bool, add []Rule) (parts []Rule) {
	for _, r := range add {
		source := sourceOf(r)
		if !source.IsValid() || rules[r] {
			continue
		}
		for old := range rules {
			if s := sourceOf(old); !s.IsValid() || s.Bits() >= source.Bits() || !s.Overlaps(source) {
				continue
			}
			switch old := old.(type) {
			case Masquerade:
				parts = append(parts, Masquerade{Source: source, Out: old.Out, Random: old.Random})
			case SourceNAT:
				parts = append(parts, SourceNAT{Source: source, Out: old.Out, To: old.To})
			}
		}
	}
	return parts
}

// sourceOf returns the source of a Masquerade or SourceNAT; the zero Prefix for other rules.
func sourceOf(r Rule) netip.Prefix {
	switch r := r.(type) {
	case Masquerade:
		return r.Source
	case SourceNAT:
		return r.Source
	}
	return netip.Prefix{}
}

func (s SourceNAT) elements() []element {
	e := egressElement(s.Source, s.Out)
	e.set, e.data = withLength("snat"+e.set, s.Source.Bits()), string(s.To.AsSlice())
	return []element{e}
}

// decodeSourceNAT decodes an element of an snat map.
func decodeSourceNAT(e element, s set) (Rule, error) {
	source, out, err := decodeEgress(e, s)
	to, _ := netip.AddrFromSlice([]byte(e.data))
	return SourceNAT{Source: source, Out: out, To: to}, err
}
