package rtnl

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// LLAddr is a link-layer address, LLADDR of ip(8): the bytes of a MAC address, or as
// many bytes as the type of the link has. The zero value is none. It is comparable
// with ==.
type LLAddr string

// maxLLAddr is MAX_ADDR_LEN of <linux/netdevice.h>, in bytes.
const maxLLAddr = 32

// ParseLLAddr parses hexadecimal bytes separated by colons: 02:00:00:00:00:0a. Each
// byte has one or two digits.
func ParseLLAddr(s string) (LLAddr, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > maxLLAddr {
		return "", fmt.Errorf("%q is not a link-layer address", s)
	}
	var b strings.Builder
	for _, p := range parts {
		if len(p) == 1 {
			p = "0" + p
		}
		octet, err := hex.DecodeString(p)
		if err != nil || len(octet) != 1 {
			return "", fmt.Errorf("%q is not a link-layer address: %q is not a byte in hexadecimal", s, p)
		}
		b.Write(octet)
	}
	return LLAddr(b.String()), nil
}

// String returns the address in the form that ParseLLAddr parses; "" is none.
func (a LLAddr) String() string {
	if a == "" {
		return ""
	}
	b := make([]byte, 0, 3*len(a))
	for i := range len(a) {
		b = hex.AppendEncode(b, []byte{a[i]})
		b = append(b, ':')
	}
	return string(b[:len(b)-1])
}
