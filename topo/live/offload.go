package live

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// offloadStep adds the lab's record to a link before it changes the checksum offload. A
// Snapshot reads the offload only of links with this record.
func (x *executor) offloadStep(step topo.Step) (r result) {
	key := step.Object().Key()
	h, err := x.handle(key.NS)
	if err != nil {
		return result{err: err}
	}
	id, record := rtnl.LinkID{Name: key.Name}, mark.Offload(x.lab, key.Name)
	if step.Op() == topo.Create {
		r.err = x.sendRequests(h, []rtnl.Request{rtnl.AddAltNames(id, record)})[0]
		r.touched = r.err == nil
		if errors.Is(r.err, fs.ErrExist) {
			r.err = nil // vnet was killed after it added the record
		}
	}
	if r.err == nil {
		r.err = x.setChecksums(h, key.Name, step.Op() == topo.Delete)
		r.touched = r.touched || r.err == nil
	}
	if r.err == nil && step.Op() == topo.Delete {
		r.err = x.sendRequests(h, []rtnl.Request{rtnl.DeleteAltNames(id, record)})[0]
	}
	return r
}

func (x *executor) setChecksums(h *netnsHandle, link string, on bool) error {
	o, err := h.dialOffload()
	if err != nil {
		return err
	}
	defer o.Close()
	return x.calls.setChecksums(o, link, on)
}

func (h *netnsHandle) dialOffload() (o *rtnl.Offload, err error) {
	err = h.withFile(func(ns *os.File) error {
		o, err = rtnl.DialOffload(ns)
		return err
	})
	return o, err
}

// readOffloads reads the checksum offload of the links with the lab's record.
func (rd *reader) readOffloads(v *netnsSnapshot) error {
	var o *rtnl.Offload
	for _, l := range v.links {
		if !slices.Contains(l.AltNames, mark.Offload(rd.lab, l.Name)) {
			continue
		}
		if o == nil {
			var err error
			if o, err = v.handle.dialOffload(); err != nil {
				return err
			}
			defer o.Close()
		}
		on, err := o.Checksums(l.Name)
		if err != nil {
			return err
		}
		if !on {
			v.noOffload = append(v.noOffload, l.Name)
		}
	}
	return nil
}
