//go:build linux

package member

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"

	"github.com/vnet-lab/vnet/rtnl"
)

// Free returns [ErrExhausted] if a subnet of a network has no address left, or if none of many is found. It changes
// nothing, and reads only the links of a few addresses; those that Attach takes at the same moment may count as free.
func Free(n Network) error {
	if err := n.check(); err != nil {
		return err
	}
	c, err := rtnl.Dial(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	isFree := func(a netip.Addr) (bool, error) {
		_, err := c.Link(rtnl.LinkID{Name: claimOf(n.Name, a)})
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, err
	}
	for _, s := range n.Subnets {
		// At a place by chance, a free address is found soon, even if many in a row are taken.
		if err := s.candidates(rand.Uint64(), isFree); err != nil {
			return err
		}
	}
	return nil
}
