//go:build linux

package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// initialGeneration is the generation ID of a new namespace's ruleset; see nf_tables_init_net of the kernel's
// net/netfilter/nf_tables_api.c.
const initialGeneration = 1

// Untouched reports whether the ruleset of the calling thread's namespace has never been changed. Then it is empty, and
// a caller need not [Dial]. It returns false on errors. Most hosts have such a ruleset, and Untouched takes only six
// system calls.
func Untouched() bool {
	s, err := dial.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		return false
	}
	defer s.Close()
	m := request(unix.NFT_MSG_GETGEN, 0)
	m.Header.Length = uint32(unix.NLMSG_HDRLEN + len(m.Data))
	req, err := m.MarshalBinary()
	if err != nil || s.Send(req) != nil {
		return false
	}
	generation := uint32(0)
	err = s.Receive(func(reply []byte) (more bool, err error) {
		if len(reply) < unix.NLMSG_HDRLEN ||
			binary.NativeEndian.Uint16(reply[4:]) != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
			return false, nfnetlink.ErrTruncated
		}
		generation, err = generationOf(reply[unix.NLMSG_HDRLEN:])
		return false, err
	})
	return err == nil && generation == initialGeneration
}

// generationOf returns the generation ID in a reply.
func generationOf(body []byte) (uint32, error) {
	ad, err := nfnetlink.Attributes(body)
	if err != nil {
		return 0, err
	}
	for ad.Next() {
		if ad.Type() == unix.NFTA_GEN_ID {
			return ad.Uint32(), ad.Err()
		}
	}
	return 0, nfnetlink.ErrTruncated
}
