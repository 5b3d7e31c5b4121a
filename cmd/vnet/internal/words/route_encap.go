package words

import (
	"encoding/binary"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// encap takes a lightweight tunnel: mpls LABEL[/LABEL…] [ttl TTL].
func (w *Words) encap(keyword string) rtnl.Encap {
	if kind := w.Value(keyword); kind != "mpls" {
		w.FailHint("only mpls is supported", "encap %q is unknown", kind)
		return rtnl.Encap{}
	}
	labels := w.mplsLabels(w.Value("mpls"))
	attrs := []netlink.Attribute{{Type: unix.MPLS_IPTUNNEL_DST, Data: labels}}
	if w.Take("ttl") {
		attrs = append(attrs, netlink.Attribute{Type: unix.MPLS_IPTUNNEL_TTL, Data: []byte{byte(w.number("ttl", 255))}})
	}
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		w.Fail("encap: %v", err)
	}
	return rtnl.Encap{Type: unix.LWTUNNEL_ENCAP_MPLS, Data: string(data)}
}

// mplsLabels encodes a stack of 20-bit labels. The last one has the bottom-of-stack bit; RFC 3032.
func (w *Words) mplsLabels(word string) []byte {
	parts := strings.Split(word, "/")
	var stack []byte
	for i, part := range parts {
		n, ok := Number(part, 1<<20-1)
		if !ok {
			w.Fail("MPLS label %q is not a number up to %d", part, 1<<20-1)
		}
		entry := uint32(n) << 12
		if i == len(parts)-1 {
			entry |= 1 << 8
		}
		stack = binary.BigEndian.AppendUint32(stack, entry)
	}
	return stack
}
