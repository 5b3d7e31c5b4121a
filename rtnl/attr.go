package rtnl

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

var errMalformed = errors.New("malformed attributes")

// attributes go through those of a message one by one; struct nlattr of
// <linux/netlink.h>. The library's decoder does so too, and makes two copies of each: a
// thousand hosts have a hundred thousand.
type attributes struct{ at, rest []byte }

// attributesIn begins before the first one. None of them is looked at if b does not
// consist of attributes.
func attributesIn(b []byte) (attributes, error) {
	all := attributes{rest: b}
	for all.Next() {
	}
	if len(all.rest) > 0 {
		return attributes{}, errMalformed
	}
	return attributes{rest: b}, nil
}

// Next goes to the next one, if there is one.
func (a *attributes) Next() bool {
	if len(a.rest) < unix.SizeofNlAttr {
		return false
	}
	n := int(binary.NativeEndian.Uint16(a.rest))
	if n < unix.SizeofNlAttr || n > len(a.rest) {
		return false
	}
	a.at, a.rest = a.rest[:n], a.rest[min(aligned(n), len(a.rest)):]
	return true
}

// Type is its number, without flags.
func (a *attributes) Type() uint16 { return binary.NativeEndian.Uint16(a.at[2:]) & nlaTypeMask }

// Bytes is its value, a part of the message.
func (a *attributes) Bytes() []byte { return a.at[unix.SizeofNlAttr:] }
