package verify

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// From RFC 1035, sections 3.2 and 4.1, and RFC 3596 (AAAA).
const (
	dnsPort    = 53
	dnsHeader  = 12 // bytes
	dnsRecurse = 1 << 8
	dnsReply   = 1 << 15
	dnsA       = 1
	dnsAAAA    = 28
	dnsIN      = 1
)

// dnsQuestion returns a query for the addresses of a name; kind is dnsA or dnsAAAA.
func dnsQuestion(id uint16, name string, kind uint16) []byte {
	b := make([]byte, dnsHeader, dnsHeader+len(name)+6)
	binary.BigEndian.PutUint16(b, id)
	binary.BigEndian.PutUint16(b[2:], dnsRecurse)
	binary.BigEndian.PutUint16(b[4:], 1)
	for _, label := range strings.Split(strings.TrimSuffix(name, "."), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, dnsIN)
}

// dnsAddrs returns the addresses in the message b. ok reports whether b is a valid answer to
// the query with this id.
func dnsAddrs(b []byte, id, kind uint16) (found []netip.Addr, ok bool) {
	if len(b) < dnsHeader || binary.BigEndian.Uint16(b) != id || binary.BigEndian.Uint16(b[2:])&dnsReply == 0 {
		return nil, false
	}
	questions, answers := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	b = b[dnsHeader:]
	for range questions {
		if b, ok = dnsSkipName(b); !ok || len(b) < 4 {
			return nil, false
		}
		b = b[4:]
	}
	for range answers {
		if b, ok = dnsSkipName(b); !ok || len(b) < 10 {
			return found, len(found) > 0 // the message was truncated
		}
		size := 10 + int(binary.BigEndian.Uint16(b[8:]))
		if len(b) < size {
			return found, len(found) > 0
		}
		if a, is := netip.AddrFromSlice(b[10:size]); is && binary.BigEndian.Uint16(b) == kind {
			found = append(found, a)
		}
		b = b[size:]
	}
	return found, true
}

// dnsSkipName returns the rest of b after a name. A name ends with an empty label or a pointer.
func dnsSkipName(b []byte) ([]byte, bool) {
	for len(b) > 0 {
		switch n := int(b[0]); {
		case n == 0:
			return b[1:], true
		case n >= 0xc0:
			return b[min(2, len(b)):], len(b) >= 2
		case n >= len(b):
			return nil, false
		default:
			b = b[1+n:]
		}
	}
	return nil, false
}
