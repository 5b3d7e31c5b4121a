//go:build linux

package nft

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// TestMalformed checks that decoders refuse messages without a header, and attributes that end too early, at any depth.
func TestMalformed(t *testing.T) {
	s := setNamed("masquerade4")
	head := []byte{unix.NFPROTO_IPV4, 0, 0, 0}
	broken := attrBytes(1, make([]byte, 8))[:8] // 12 bytes, of which 8 are there
	element := func(attrs ...[]byte) []byte { return elementsBody(nested(1, slices.Concat(attrs...))) }
	value := func(kind uint16, n int) []byte { return nested(kind, attrBytes(unix.NFTA_DATA_VALUE, make([]byte, n))) }
	for name, decode := range map[string]func([]byte) error{
		"set":        func(b []byte) error { _, err := decodeSet(b); return err },
		"elements":   func(b []byte) error { _, err := decodeElements(b, s); return err },
		"name":       func(b []byte) error { _, err := decodeString(b, 2); return err },
		"flow":       func(b []byte) error { _, err := decodeFlow(b); return err },
		"flow count": func(b []byte) error { _, err := decodeFlowCount(b); return err },
		"flowtable":  func(b []byte) error { _, _, _, err := decodeFlowtable(b); return err },
	} {
		for _, b := range [][]byte{nil, head[:3]} {
			if err := decode(b); !errors.Is(err, nfnetlink.ErrTruncated) {
				t.Errorf("%s of %d bytes: %v", name, len(b), err)
			}
		}
		if err := decode(head); err != nil {
			t.Errorf("%s without attributes: %v", name, err)
		}
		if err := decode(slices.Concat(head, broken)); err == nil {
			t.Errorf("%s with a truncated attribute is accepted", name)
		}
	}
	for what, tt := range map[string]struct {
		body []byte
		ok   bool
	}{
		"a key":               {element(value(unix.NFTA_SET_ELEM_KEY, 4)), true},
		"no key":              {element(), false},
		"a key of 3 bytes":    {element(value(unix.NFTA_SET_ELEM_KEY, 3)), false},
		"a key of 5 bytes":    {element(value(unix.NFTA_SET_ELEM_KEY, 5)), false},
		"a truncated key":     {element(nested(unix.NFTA_SET_ELEM_KEY, broken)), false},
		"data without a map":  {element(value(unix.NFTA_SET_ELEM_KEY, 4), value(unix.NFTA_SET_ELEM_DATA, 4)), false},
		"a key of other kind": {element(nested(unix.NFTA_SET_ELEM_KEY, attrBytes(9, make([]byte, 4)))), false},
		"a truncated element": {elementsBody(nested(1, broken)), false},
		"another attribute":   {slices.Concat(head, attrBytes(77, nil)), true},
		"a catch-all element": {element(attr32(unix.NFTA_SET_ELEM_FLAGS, setElemCatchAll)), true},
		"the end of an interval": {element(value(unix.NFTA_SET_ELEM_KEY, 4),
			attr32(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)), true},
	} {
		if _, err := decodeElements(tt.body, s); (err == nil) != tt.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestDecodeFlowtable checks the names of a flowtable, its table and its devices. Too long names are left out.
func TestDecodeFlowtable(t *testing.T) {
	devices := slices.Concat(attrString(ftDeviceName, "eth0"), attrString(ftDeviceName, "sixteen-bytes-xx"),
		attrString(ftDeviceName, "exactly15bytes."))
	body := slices.Concat([]byte{protoInet, 0, 0, 0}, attrString(ftTable, "vnet"), attrString(ftName, "fast"),
		nested(ftHook, append(attr32(ftHookNumber, 0), nested(ftHookDevices, devices)...)))
	table, name, got, err := decodeFlowtable(body)
	diff := cmp.Diff([]string{"eth0", "exactly15bytes."}, got)
	if diff != "" || table != "vnet" || name != "fast" || err != nil {
		t.Errorf("%s of %s, %v, -want +got\n%s", name, table, err, diff)
	}
}

// TestCommentOf checks user data that is truncated, or has other types before the comment.
func TestCommentOf(t *testing.T) {
	for data, want := range map[string]string{
		"": "", "\x00": "", "\x00\x03ab\x00": "ab", "\x00\x02ab": "ab", "\x00\x03ab": "",
		"\x01\x01x\x00\x02ab": "ab", "\x01\x00\x00\x01a": "a", "\x01\x02x": "",
	} {
		if got := commentOf([]byte(data)); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}

// TestDecodeCounter checks that only an expression with the name counter counts, and where its numbers are.
func TestDecodeCounter(t *testing.T) {
	key := nested(unix.NFTA_SET_ELEM_KEY, attrBytes(unix.NFTA_DATA_VALUE, []byte{10, 0, 0, 1}))
	numbers := nested(unix.NFTA_EXPR_DATA, slices.Concat(
		attrBytes(unix.NFTA_COUNTER_BYTES, binary.BigEndian.AppendUint64(nil, 120)),
		attrBytes(unix.NFTA_COUNTER_PACKETS, binary.BigEndian.AppendUint64(nil, 2))))
	for name, want := range map[string]count{"counter": {packets: 2, bytes: 120}, "limit": {}} {
		expr := nested(unix.NFTA_SET_ELEM_EXPR, append(attrString(unix.NFTA_EXPR_NAME, name), numbers...))
		got, err := decodeElements(elementsBody(nested(1, append(slices.Clone(key), expr...))), setNamed("masquerade4"))
		if err != nil || len(got) != 1 || got[0].count != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}
