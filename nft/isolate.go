package nft

import (
	"errors"
	"fmt"
)

// Isolate drops what would be forwarded from one link to another. It says
// nothing of the other direction, and nothing of what a switch passes between
// its ports.
type Isolate struct {
	In, Out string // names of links
}

// String prints the rule in nft's words: iifname "v-net-0" oifname "v-net-1" drop.
func (i Isolate) String() string { return fmt.Sprintf("iifname %q oifname %q drop", i.In, i.Out) }

// Check says what is wrong with the rule, or nil.
func (i Isolate) Check() error {
	err := errors.Join(checkDevice(i.In), checkDevice(i.Out))
	if err == nil && (i.In == "" || i.Out == "") {
		err = errors.New("both devices have to be given")
	}
	return invalid(i, err)
}

func (i Isolate) elements() []element {
	return []element{{set: "isolate", key: encodeName(i.In) + encodeName(i.Out)}}
}

// isolateOf reads an element of the set isolate.
func isolateOf(e element, _ set) (Rule, error) {
	return Isolate{In: decodeName(e.key[:16]), Out: decodeName(e.key[16:])}, nil
}
