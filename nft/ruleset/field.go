//go:build linux

package ruleset

import (
	"bytes"
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A loadedField is a field of the packet in a register.
type loadedField struct {
	name fieldName
	mask []byte // nil means the whole field
	size int    // in bytes; of a ruleEvaluation only
}

type fieldName byte

const (
	otherField fieldName = iota
	familyField
	protoField
	inField
	outField
	sourceField
	targetField
	portField
	typeField // address type of the destination, such as local
	target4Field
	target6Field
	inGroupField
	outGroupField
	protocolField // the protocol of the packet: IPv4 or IPv6
	stateField    // of a connection
	routeField    // the link of the route back to the source
)

var metaFields = map[expr.MetaKey]fieldName{
	expr.MetaKeyNFPROTO: familyField, expr.MetaKeyL4PROTO: protoField, expr.MetaKeyIIFNAME: inField,
	expr.MetaKeyOIFNAME: outField, expr.MetaKeyIIFGROUP: inGroupField, expr.MetaKeyOIFGROUP: outGroupField,
	expr.MetaKeyPROTOCOL: protocolField,
}

// payloadField returns the header field that a payload expression loads. For a prefix, nft may load only the first
// bytes of an address.
func payloadField(family byte, e *expr.Payload) fieldName {
	size, source, target := uint32(4), uint32(12), uint32(16)
	if family == unix.NFPROTO_IPV6 {
		size, source, target = 16, 8, 24
	}
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2:
		return portField
	case e.Base != expr.PayloadBaseNetworkHeader || family == unix.NFPROTO_INET || e.Len > size:
		return otherField
	case e.Offset == source:
		return sourceField
	case e.Offset == target && e.Len == size:
		return targetField
	}
	return otherField
}

// networkField returns the field at an offset of the network header, where it is the same for the prefixes of IPv4 and
// IPv6 in tables of the family inet. nft compares prefixes of whole bytes without a mask.
func networkField(e *expr.Payload) fieldName {
	switch {
	case e.Offset == 16 && e.Len <= 4:
		return target4Field
	case e.Offset == 24 && e.Len <= 16:
		return target6Field
	case e.Offset == 9 && e.Len == 1, e.Offset == 6 && e.Len == 1: // protocol, nexthdr
		return protoField
	}
	return otherField
}

func metaSize(key expr.MetaKey) int {
	switch key {
	case expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME:
		return unix.IFNAMSIZ
	}
	return 4 // the padded size; shorter values are compared from their start
}

// wholeName reports whether a value is a complete name of a link. For a wildcard such as eth*, nft compares only the
// first bytes.
func wholeName(b []byte) bool { return bytes.IndexByte(b, 0) > 0 }

// linkName returns the name of a link in a field.
func linkName(b []byte) string { return unix.ByteSliceToString(b[:min(len(b), unix.IFNAMSIZ)]) }

// be16 encodes a number in network byte order.
func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
