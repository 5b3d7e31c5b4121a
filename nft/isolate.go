package nft

import (
	"errors"
	"fmt"
)

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
