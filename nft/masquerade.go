package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Masquerade translates the source address of packets that leave a private network to an address of the output link.
// If several rules match, the one with the longest prefix applies. If prefixes are equal, a rule with Out goes first,
// and then a [SourceNAT].
//
// It translates neither packets between the sources of the table's rules without Out, nor packets that come in from
// outside, nor link-local multicast and broadcast.
type Masquerade struct {
	// Source is the private network. Zero means all packets that leave through Out, of both families. 0.0.0.0/0 or ::/0
	// without Out means all packets that leave through any link, except those of forwarded ports.
	Source netip.Prefix
	// Out is the output link; "" means any.
	Out string
	// Random gives each connection a random source port (nft's fully-random), instead of the client's port if it is
	// free.
	Random bool
}

// String returns the rule in nft's syntax: ip saddr 192.168.15.0/24 masquerade.
func (m Masquerade) String() string {
	return egressMatchText(m.Source, m.Out) + m.statement().String()
}

// masquerades has a Masquerade of each kind.
var masquerades = []Masquerade{{}, {Random: true}}

// forAllSources reports whether a set has Masquerade rules for all sources.
func (s set) forAllSources() bool {
	return slices.ContainsFunc(masquerades, func(m Masquerade) bool {
		return s.name == m.setKind()+"_out" || s.name == m.setKind()+"_all"
	})
}

func (m Masquerade) statement() *statement {
	if m.Random {
		return &statement{verb: masquerade, name: "fully-random"}
	}
	return &statement{verb: masquerade}
}

// setKind is the first part of the names of the rule's sets.
func (m Masquerade) setKind() string {
	if m.Random {
		return "random"
	}
	return "masquerade"
}

// Check returns an error if the rule is invalid.
func (m Masquerade) Check() error {
	err := checkDevice(m.Out)
	switch {
	case err != nil:
	case m.Out == "lo": // lo has no suitable address: the kernel uses another link's, or drops
		err = errors.New("cannot masquerade on lo: the machine would reach itself from another address, or not at all")
	case m.Source.IsValid():
		err = checkSource(m.Source)
	case m.Out == "":
		err = errors.New("expected a source or a device")
	}
	return invalid(m, err)
}

func (m Masquerade) elements() []element {
	switch {
	case !m.Source.IsValid():
		return []element{{set: m.setKind() + "_out", key: encodeName(m.Out)}}
	case m.Source.Bits() == 0 && m.Out == "":
		return []element{{set: m.setKind() + "_all", key: encodeFamily(m.Source.Addr())}}
	}
	e := egressElement(m.Source, m.Out)
	e.set = withLength(m.setKind()+e.set, m.Source.Bits())
	return []element{e}
}

// decodeMasquerade decodes an element of a masquerade set.
func decodeMasquerade(e element, s set) (Rule, error) {
	random := strings.HasPrefix(s.name, "random")
	switch s.name {
	case "masquerade_out", "random_out":
		return Masquerade{Out: decodeName(e.key), Random: random}, nil
	case "masquerade_all", "random_all":
		return Masquerade{Source: decodeFamily(e.key), Random: random}, nil
	}
	source, out, err := decodeEgress(e, s)
	return Masquerade{Source: source, Out: out, Random: random}, err
}

// egressMatchText returns the match part of a Masquerade or SourceNAT in nft's syntax.
func egressMatchText(source netip.Prefix, out string) string {
	var text string
	if source.IsValid() && (source.Bits() > 0 || out == "") {
		text = fmt.Sprintf("%s saddr %s ", familyKeyword(source.Addr()), source)
	} else if source.IsValid() {
		text = "meta nfproto " + nfprotoText(source.Addr()) + " "
	}
	if out != "" {
		text += fmt.Sprintf("oifname %q ", out)
	}
	return text
}

// egressElement returns the element of a Masquerade or SourceNAT. The caller adds a prefix to its set's name.
func egressElement(source netip.Prefix, out string) element {
	first, last := source.Addr().AsSlice(), lastAddr(source).AsSlice()
	e := element{set: familyDigit(source.Addr()), key: string(first), end: string(last)}
	if out != "" {
		e.set += "_out"
		e.key += encodeName(out)
		e.end += encodeName(out)
	}
	return e
}

// decodeEgress is the inverse of egressElement.
func decodeEgress(e element, s set) (source netip.Prefix, out string, err error) {
	size := s.key[0].size
	if len(s.key) > 1 {
		out = decodeName(e.key[size:])
	}
	source, err = prefixBetween(e.key[:size], e.end[:size])
	return source, out, err
}
