package rtnl

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

var errMalformed = errors.New("malformed attributes")

// attributes iterates over the attributes of a message; struct nlattr of
// <linux/netlink.h>. The decoder of package netlink copies each attribute twice, which
// is too slow here: a thousand hosts have a hundred thousand attributes.
type attributes struct{ current, rest []byte }

// parseAttributes returns an iterator before the first attribute. If b does not consist
// of attributes only, it returns an error.
func parseAttributes(b []byte) (attributes, error) {
	all := attributes{rest: b}
	for all.Next() {
	}
	if len(all.rest) > 0 {
		return attributes{}, errMalformed
	}
	return attributes{rest: b}, nil
}

// Next moves to the next attribute. It returns false at the end.
func (a *attributes) Next() bool {
	if len(a.rest) < unix.SizeofNlAttr {
		return false
	}
	n := int(binary.NativeEndian.Uint16(a.rest))
	if n < unix.SizeofNlAttr || n > len(a.rest) {
		return false
	}
	a.current, a.rest = a.rest[:n], a.rest[min(aligned(n), len(a.rest)):]
	return true
}

// Type returns the number of the attribute, without flags.
func (a *attributes) Type() uint16 { return binary.NativeEndian.Uint16(a.current[2:]) & nlaTypeMask }

// Bytes returns the value of the attribute, as a part of the message.
func (a *attributes) Bytes() []byte { return a.current[unix.SizeofNlAttr:] }
