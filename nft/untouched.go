//go:build linux

package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// pristine is the generation of a ruleset that nobody ever changed; see
// nf_tables_init_net of the kernel's net/netfilter/nf_tables_api.c.
const pristine = 1

// Untouched tells whether certainly nobody ever changed the ruleset of the namespace that
// the calling thread is in, so that there is nothing to [Dial] for. Of a thousand hosts
// most are so: it takes five system calls.
func Untouched() bool {
	s, err := dial.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		return false
	}
	defer s.Close()
	m := request(unix.NFT_MSG_GETGEN, 0)
	m.Header.Length = uint32(unix.NLMSG_HDRLEN + len(m.Data))
	question, err := m.MarshalBinary()
	if err != nil || s.Send(question) != nil {
		return false
	}
	generation := uint32(0)
	err = s.Hear(func(answer []byte) (more bool, err error) {
		if len(answer) < unix.NLMSG_HDRLEN || binary.NativeEndian.Uint16(answer[4:]) != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
			return false, errShort
		}
		generation, err = generationOf(answer[unix.NLMSG_HDRLEN:])
		return false, err
	})
	return err == nil && generation == pristine
}

// generationOf is the number that an answer has.
func generationOf(body []byte) (uint32, error) {
	ad, err := attrs(body)
	if err != nil {
		return 0, err
	}
	for ad.Next() {
		if ad.Type() == unix.NFTA_GEN_ID {
			return ad.Uint32(), ad.Err()
		}
	}
	return 0, errShort
}
