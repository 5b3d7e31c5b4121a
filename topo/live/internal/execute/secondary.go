package execute

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// keepSecondaries makes the kernel keep foreign IPv4 addresses when a stage deletes the lab's
// address in the same subnet. Otherwise the kernel deletes the secondary addresses of a subnet
// together with the primary one. The caller must call restore after the stage.
func (x *Executor) keepSecondaries(stage []topo.Step) (restore func() error, err error) {
	var changed []func() error
	restore = func() (err error) {
		for _, undo := range changed {
			err = errors.Join(err, undo())
		}
		return err
	}
	seen := map[topo.Key]bool{}
	for _, s := range stage {
		a, ok := s.Object().(topo.Address)
		if !ok || s.Want != nil || !a.Prefix.Addr().Is4() || seen[topo.LinkKey(a.NS, a.Link)] {
			continue
		}
		h, err := x.Table.Handle(a.NS)
		if err != nil || !hasForeignSecondary(h.Snapshot, x.Table.Lab, a) {
			continue // the deletion itself reports the error
		}
		seen[topo.LinkKey(a.NS, a.Link)] = true
		key := "net/ipv4/conf/" + a.Link + "/promote_secondaries"
		var was string
		err = h.RunInside(func() (err error) {
			if was, err = nsfs.Sysctl(key); err == nil && was == "0" {
				err = x.Calls.SetSysctl(key, "1")
			}
			return err
		})
		if err != nil {
			return restore, err
		}
		if was == "0" {
			changed = append(changed, func() error {
				return h.RunInside(func() error { return x.Calls.SetSysctl(key, was) })
			})
		}
	}
	return restore, nil
}

// hasForeignSecondary reports whether the link of an address had a secondary address of another
// program in the same subnet.
func hasForeignSecondary(v *netns.Snapshot, lab string, o topo.Address) bool {
	if v == nil {
		return false
	}
	for _, a := range v.Addrs {
		if v.Names[a.Link] == o.Link && a.Flags&unix.IFA_F_SECONDARY != 0 && !a.Is6() &&
			a.Prefix.Masked() == o.Prefix.Masked() && !v.IsMarked(lab, a) {
			return true
		}
	}
	return false
}
