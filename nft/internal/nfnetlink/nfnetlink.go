//go:build linux

// Package nfnetlink has what packages nft and ruleset need to read messages of nf_tables and of connection tracking:
// their attributes, their errors, and the ends of intervals.
package nfnetlink

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// SetElemKeyEnd is NFTA_SET_ELEM_KEY_END of <linux/netfilter/nf_tables.h>, which x/sys/unix lacks.
const SetElemKeyEnd = 0xa

// HookDevs is NFTA_HOOK_DEVS of the same file.
const HookDevs = 0x4

// ErrTruncated is the error for a message that ends too early.
var ErrTruncated = errors.New("truncated message")

// Attributes returns a decoder for the attributes after a message's struct nfgenmsg (<linux/netfilter/nfnetlink.h>).
// Their numbers are in network byte order.
func Attributes(body []byte) (*netlink.AttributeDecoder, error) {
	if len(body) < 4 {
		return nil, ErrTruncated
	}
	ad, err := netlink.NewAttributeDecoder(body[4:])
	if err != nil {
		return nil, err
	}
	ad.ByteOrder = binary.BigEndian
	return ad, nil
}

// Errno returns the errno that err wraps, or else err.
func Errno(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Predecessor returns key-1: the last key of an interval that ends before key. The kernel lists an interval of a set
// with one field as two elements: its first key, and the first key after it.
func Predecessor(key string) string {
	b := []byte(key)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]--; b[i] != 0xff {
			break
		}
	}
	return string(b)
}
