package nft

import (
	"errors"
	"fmt"
)

// Isolate drops packets that are forwarded from one link to another. It does not affect the opposite direction, nor
// packets that a bridge passes between its ports.
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
	return []element{{set: "isolate", key: encodeName(i.In) + encodeName(i.Out)}}
}

// decodeIsolate decodes an element of the set isolate.
func decodeIsolate(e element, _ set) (Rule, error) {
	return Isolate{In: decodeName(e.key[:16]), Out: decodeName(e.key[16:])}, nil
}
