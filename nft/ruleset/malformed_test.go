//go:build linux

package ruleset

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// message returns a message about an object of a family.
func message(t testing.TB, family byte, attrs ...netlink.Attribute) []byte {
	t.Helper()
	return append([]byte{family, unix.NFNETLINK_V0, 0, 0}, marshal(t, attrs...)...)
}

func marshal(t testing.TB, attrs ...netlink.Attribute) []byte {
	t.Helper()
	b, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func nested(t testing.TB, kind uint16, attrs ...netlink.Attribute) netlink.Attribute {
	t.Helper()
	return netlink.Attribute{Type: kind | unix.NLA_F_NESTED, Data: marshal(t, attrs...)}
}

func attr32(kind uint16, value uint32) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: binary.BigEndian.AppendUint32(nil, value)}
}

// decoders are those of the kernel's messages.
var decoders = map[string]func([]byte) error{
	"chain":    func(b []byte) error { _, err := decodeChain(b); return err },
	"rule":     func(b []byte) error { _, err := decodeRule(unix.NFPROTO_IPV4, b); return err },
	"elements": func(b []byte) error { _, err := decodeElements(b); return err },
	"trace":    func(b []byte) error { _, err := decodeTrace(b); return err },
}

// TestMalformed checks that decoders refuse messages without a header, and attributes that end too early.
func TestMalformed(t *testing.T) {
	head := message(t, unix.NFPROTO_IPV4)
	broken := marshal(t, netlink.Attribute{Type: 1, Data: make([]byte, 8)})[:8] // 12 bytes, of which 8 are there
	for name, decode := range decoders {
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
}

func chainMessage(t testing.TB, family byte, hook, policy uint32) []byte {
	t.Helper()
	return message(t, family, attrString(unix.NFTA_CHAIN_TABLE, "filter"), attrString(unix.NFTA_CHAIN_NAME, "FORWARD"),
		attr32(unix.NFTA_CHAIN_POLICY, policy), nested(t, unix.NFTA_CHAIN_HOOK, attr32(unix.NFTA_HOOK_HOOKNUM, hook)))
}

// TestDecodeChain checks the family, hook and policy of chains.
func TestDecodeChain(t *testing.T) {
	for _, tt := range []struct {
		family       byte
		hook, policy uint32
		want         string
	}{
		{unix.NFPROTO_IPV4, unix.NF_INET_FORWARD, verdictDrop, "chain ip filter FORWARD"},
		{unix.NFPROTO_IPV6, unix.NF_INET_FORWARD, verdictDrop, "chain ip6 filter FORWARD"},
		{unix.NFPROTO_INET, unix.NF_INET_FORWARD, verdictDrop, "chain inet filter FORWARD"},
		{unix.NFPROTO_BRIDGE, unix.NF_INET_FORWARD, verdictDrop, "chain bridge filter FORWARD"},
		{unix.NFPROTO_NETDEV, unix.NF_INET_FORWARD, verdictDrop, "chain netdev filter FORWARD"},
		{unix.NFPROTO_IPV4, unix.NF_INET_LOCAL_IN, verdictDrop, "chain ip filter FORWARD"},
		{unix.NFPROTO_IPV4, unix.NF_INET_FORWARD, verdictAccept, "chain ip filter FORWARD"},
	} {
		c, err := decodeChain(chainMessage(t, tt.family, tt.hook, tt.policy))
		if err != nil || c.family != tt.family || c.hook != tt.hook || c.policy != tt.policy || c.String() != tt.want ||
			c.isAt(unix.NF_INET_FORWARD) != (tt.hook == unix.NF_INET_FORWARD && tt.family != unix.NFPROTO_NETDEV) {
			t.Errorf("%+v, %v; want %+v", c, err, tt)
		}
	}
	c, err := decodeChain(message(t, unix.NFPROTO_IPV4, attrString(unix.NFTA_CHAIN_NAME, "web")))
	if err != nil || c.hook != ^uint32(0) || c.policy != verdictAccept {
		t.Errorf("a chain without a hook: %+v, %v", c, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(chainMessage(f, unix.NFPROTO_INET, unix.NF_INET_FORWARD, verdictAccept))
	jump := nested(f, unix.NFTA_EXPR_DATA, nested(f, unix.NFTA_IMMEDIATE_DATA, nested(f, unix.NFTA_DATA_VERDICT,
		attr32(unix.NFTA_VERDICT_CODE, 0xfffffffd), attrString(unix.NFTA_VERDICT_CHAIN, "x"))))
	f.Add(message(f, unix.NFPROTO_INET, attrString(unix.NFTA_RULE_CHAIN, "forward"), nested(f,
		unix.NFTA_RULE_EXPRESSIONS, nested(f, unix.NFTA_LIST_ELEM, attrString(unix.NFTA_EXPR_NAME, "immediate"), jump))))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range decoders {
			_ = decode(body)
		}
		_, _ = parseRule(unix.NFPROTO_IPV4, body)
		if r, err := decodeRule(unix.NFPROTO_IPV4, body); err == nil {
			r.verdict()
		}
		if all, err := decodeElements(body); err == nil {
			joinIntervals(all)
		}
	})
}
