//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/vnet-lab/vnet/rtnl"
)

// offloadStep records on a link that its checksums are the lab's before it sets them:
// only links with the record are looked at.
func (k *Kernel) offloadStep(step Step) (r result) {
	key := step.Object().Key()
	s, err := k.space(key.NS)
	if err != nil {
		return result{err: err}
	}
	id, record := rtnl.LinkID{Name: key.Name}, offloadRecord(k.lab, key.Name)
	if step.Op() == Create {
		r.err = k.do(s, []rtnl.Request{rtnl.AddAltNames(id, record)})[0]
		r.touched = r.err == nil
		if errors.Is(r.err, fs.ErrExist) {
			r.err = nil // who recorded it died before it was so
		}
	}
	if r.err == nil {
		r.err = k.setChecksums(s, key.Name, step.Op() == Delete)
		r.touched = r.touched || r.err == nil
	}
	if r.err == nil && step.Op() == Delete {
		r.err = k.do(s, []rtnl.Request{rtnl.DeleteAltNames(id, record)})[0]
	}
	return r
}

func (k *Kernel) setChecksums(s *space, link string, on bool) error {
	if err := k.faulty(); err != nil {
		return err
	}
	o, err := s.offload()
	if err != nil {
		return err
	}
	defer o.Close()
	return o.SetChecksums(link, on)
}

func (s *space) offload() (o *rtnl.Offload, err error) {
	err = s.withFile(func(ns *os.File) error {
		o, err = rtnl.DialOffload(ns)
		return err
	})
	return o, err
}

// readOffloads reads of the links with the record who fills in their checksums.
func (k *Kernel) readOffloads(v *spaceView) error {
	var o *rtnl.Offload
	for _, l := range v.links {
		if !slices.Contains(l.AltNames, offloadRecord(k.lab, l.Name)) {
			continue
		}
		if o == nil {
			var err error
			if o, err = v.space.offload(); err != nil {
				return err
			}
			defer o.Close()
		}
		on, err := o.Checksums(l.Name)
		if err != nil {
			return err
		}
		if !on {
			v.plain = append(v.plain, l.Name)
		}
	}
	return nil
}
