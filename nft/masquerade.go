package nft

import (
	"errors"
	"fmt"
	"net/netip"
)

// Masquerade gives what leaves a private network the address of the link it
// leaves by. What stays inside, between the sources of the table's rules without
// Out, keeps its address, and so do what comes in from outside and what goes no
// further than the next link: multicasts and broadcasts to it.
type Masquerade struct {
	// Source is the private network. Zero means whatever leaves by Out, of both
	// families. 0.0.0.0/0 or ::/0 without Out means all that leaves by any link,
	// but for what came in by a forward.
	Source netip.Prefix
	// Out is the link it has to leave by; "" means any.
	Out string
}

// String prints the rule in nft's words: ip saddr 192.168.15.0/24 masquerade.
func (m Masquerade) String() string { return egressWords(m.Source, m.Out) + "masquerade" }

// Check says what is wrong with the rule, or nil.
func (m Masquerade) Check() error {
	err := checkDevice(m.Out)
	switch {
	case err != nil:
	case m.Out == "lo": // it has none to give: the kernel takes another link's, or drops
		err = errors.New("nothing leaves by lo; the machine would reach itself from another address, or not at all")
	case m.Source.IsValid():
		err = checkSource(m.Source)
	case m.Out == "":
		err = errors.New("neither a source nor a device is given")
	}
	return invalid(m, err)
}

func (m Masquerade) elements() []element {
	switch {
	case !m.Source.IsValid():
		return []element{{set: "masquerade_out", key: encodeName(m.Out)}}
	case m.Source.Bits() == 0 && m.Out == "":
		return []element{{set: "masquerade_all", key: encodeFamily(m.Source.Addr())}}
	}
	e := egressElement(m.Source, m.Out)
	e.set = "masquerade" + e.set
	return []element{e}
}

// masqueradeOf reads an element of one of the masquerade sets.
func masqueradeOf(e element, s set) (Rule, error) {
	switch s.name {
	case "masquerade_out":
		return Masquerade{Out: decodeName(e.key)}, nil
	case "masquerade_all":
		return Masquerade{Source: decodeFamily(e.key)}, nil
	}
	source, out, err := egressOf(e, s)
	return Masquerade{Source: source, Out: out}, err
}

// egressWords begins a rule for what leaves.
func egressWords(source netip.Prefix, out string) string {
	var words string
	if source.IsValid() && (source.Bits() > 0 || out == "") {
		words = fmt.Sprintf("%s saddr %s ", ipWord(source.Addr()), source)
	} else if source.IsValid() {
		words = "meta nfproto " + familyWord(source.Addr()) + " "
	}
	if out != "" {
		words += fmt.Sprintf("oifname %q ", out)
	}
	return words
}

// egressElement is the key for what leaves; its set's name lacks the beginning.
func egressElement(source netip.Prefix, out string) element {
	first, last := source.Addr().AsSlice(), lastOf(source).AsSlice()
	e := element{set: digit(source.Addr()), key: string(first), end: string(last)}
	if out != "" {
		e.set += "_out"
		e.key += encodeName(out)
		e.end += encodeName(out)
	}
	return e
}

// egressOf is the way back.
func egressOf(e element, s set) (source netip.Prefix, out string, err error) {
	size := s.key[0].size
	if len(s.key) > 1 {
		out = decodeName(e.key[size:])
	}
	source, err = prefixOf(e.key[:size], e.end[:size])
	return source, out, err
}
