package execute

import (
	"errors"
	"io/fs"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// offloadStep adds the lab's record to a link before it changes the checksum offload. A
// Snapshot reads the offload only of links with this record.
func (x *Executor) offloadStep(step topo.Step) (r result) {
	key := step.Object().Key()
	h, err := x.Table.Handle(key.NS)
	if err != nil {
		return result{err: err}
	}
	id, record := rtnl.LinkID{Name: key.Name}, mark.Offload(x.Table.Lab, key.Name)
	if step.Op() == topo.Create {
		r.err = x.Calls.SendTo(h, []rtnl.Request{rtnl.AddAltNames(id, record)})[0]
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
		r.err = x.Calls.SendTo(h, []rtnl.Request{rtnl.DeleteAltNames(id, record)})[0]
	}
	return r
}

func (x *Executor) setChecksums(h *netns.Handle, link string, on bool) error {
	o, err := h.DialOffload()
	if err != nil {
		return err
	}
	defer o.Close()
	return x.Calls.SetChecksums(o, link, on)
}
