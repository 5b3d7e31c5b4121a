//go:build linux

package ruleset

import (
	"bytes"

	"github.com/google/nftables/expr"
)

// A register contains a field of packets.
type register struct {
	value []byte // nil if it is not known
	size  int    // in bytes; 0 if it is not known
}

// A matching says which of the packets match a condition.
type matching byte

const (
	never     matching = iota
	sometimes          // depends on what is not known
	always
)

// is returns the matching of a condition, or of its opposite.
func (m matching) is(op expr.CmpOp) matching {
	if op == expr.CmpOpNeq {
		return always - m
	}
	return m
}

// within reports whether the value is between low and high; nil means no limit. A limit may be the first bytes only.
func (r register) within(low, high []byte) matching {
	switch n := max(len(low), len(high)); {
	case len(r.value) < n || n == 0:
		return sometimes
	case low != nil && bytes.Compare(r.value[:len(low)], low) < 0,
		high != nil && bytes.Compare(r.value[:len(high)], high) > 0:
		return never
	}
	return always
}

// masked returns the register after a bitwise and; nil means another operation.
func (r register) masked(mask []byte) register {
	if mask == nil || r.value == nil || len(r.value) < len(mask) {
		return register{size: r.size}
	}
	value := bytes.Clone(r.value[:len(mask)])
	for i, m := range mask {
		value[i] &= m
	}
	return register{value, r.size}
}

// holds reports whether the fields from a register on are a key of an element.
func holds(el element, from uint32, registers map[uint32]register) matching {
	low, high, match := el.key, el.end, always
	for len(low) > 0 {
		r := registers[from]
		size := min(len(low), len(high), (r.size+3)/4*4)
		if size == 0 {
			return min(match, sometimes)
		}
		if r.value != nil && len(r.value) != size { // keys of several fields are padded
			r.value = append(bytes.Clone(r.value), make([]byte, size)...)[:size]
		}
		match = min(match, r.within(low[:size], high[:size]))
		low, high, from = low[size:], high[size:], from+uint32(size)
	}
	return match
}
