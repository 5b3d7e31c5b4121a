package setting

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A Changer sets and restores sysctls for a lab.
type Changer struct {
	lab   string
	calls Calls
}

// Calls are the functions with which a Changer changes the kernel.
type Calls struct {
	Send        func(*netns.Handle, rtnl.Request) error
	SetSysctl   func(key, value string) error // as [nsfs.SetSysctl] does
	UpdateGuard func(c *nft.Conn, update func(nft.Guard) nft.Guard) error
}

// New returns a Changer for a lab.
func New(lab string, calls Calls) *Changer { return &Changer{lab, calls} }

// A use is what the records on a namespace's lo say about the use of a sysctl. Each lab
// that sets the sysctl has a record with the value from before the first of them.
type use struct {
	handle *netns.Handle
	lo     rtnl.Link
	name   string
	record string // this lab's record; "" if it does not set the sysctl
	shared bool   // whether another lab sets the sysctl
	others string // the former value in the record of that lab
}

func useOf(h *netns.Handle, lab, name string) (u use, err error) {
	u.handle, u.name = h, name
	if u.lo, err = h.Conn.Link(rtnl.LinkID{Name: "lo"}); err != nil {
		return u, err
	}
	u.record, _ = mark.Find(u.lo.AltNames, mark.Sysctl(lab, name))
	u.others, u.shared = mark.Foreign(u.lo.AltNames, lab, name)
	return u, nil
}

// Do executes a step of a sysctl in a namespace. touched reports whether it may have changed something, also after
// an error.
func (c *Changer) Do(h *netns.Handle, step topo.Step) (touched bool, err error) {
	name := step.Object().Key().Name
	u, err := useOf(h, c.lab, name)
	if err != nil {
		return false, err
	}
	switch step.Op() {
	case topo.Create:
		if err = c.acquire(u); err == nil {
			err = c.set(h, name, step.Want.(topo.Sysctl).Value)
		}
		return true, err // also after an error: the kernel may have made a change whose answer was lost
	case topo.Change:
		if value := step.Want.(topo.Sysctl).Value; !strings.HasSuffix(value, unguarded) {
			return c.change(u, value)
		}
		return true, c.unguardForwarding(h, name) // undo: remove the guard that the Change added
	}
	return c.release(u)
}

// change sets a sysctl that the lab has set before. If the guard of forwarding is missing, it adds
// the guard again.
func (c *Changer) change(u use, value string) (touched bool, err error) {
	if u.needsGuard(c.lab) {
		if err := c.guardForwarding(u.handle, u.name, u.lo.AltNames); err != nil {
			return false, err
		}
		touched = true
	}
	err = c.set(u.handle, u.name, value)
	return touched || err == nil, err
}

// Acquire sets a sysctl from the value old to value, and records that the lab needs it. It does nothing if the two are
// equal and no lab will change the sysctl back.
func (c *Changer) Acquire(h *netns.Handle, name, old, value string) error {
	u, err := useOf(h, c.lab, name)
	if err != nil {
		return err
	}
	if old == value && !u.shared && (u.record == "" || !u.needsGuard(c.lab)) {
		return nil
	}
	if err = c.acquire(u); err == nil && old != value {
		err = c.set(h, name, value)
	}
	return err
}

// Release restores the former value of a sysctl that the lab does not need any more, unless another lab needs it.
func (c *Changer) Release(h *netns.Handle, name string) error {
	u, err := useOf(h, c.lab, name)
	if err != nil {
		return err
	}
	_, err = c.release(u)
	if errors.Is(err, fs.ErrNotExist) { // the link was deleted, and its setting with it
		err = c.forget(u)
	}
	return err
}

// acquire records what a write to the sysctl changes: its value, and for forwarding also
// the links that forward already and those that need accept_ra=2.
func (c *Changer) acquire(u use) error {
	if u.record == "" {
		if err := c.recordSysctl(&u); err != nil {
			return err
		}
	}
	if u.handle.Own {
		return nil // nobody else uses the links in the lab's own namespaces
	}
	records := u.lo.AltNames
	if isForwarding(u.name) {
		added, err := c.recordForwarding(u.handle, u.lo, u.name)
		if err != nil {
			return err
		}
		records = slices.Concat(records, added)
	}
	if u.name == linux.ForwardingIPv6 {
		if err := c.keepAcceptRA(u.handle, u.lo); err != nil {
			return err
		}
	}
	if u.needsGuard(c.lab) {
		return c.guardForwarding(u.handle, u.name, records)
	}
	return nil
}

// recordSysctl records the value that the sysctl had before the first lab set it.
func (c *Changer) recordSysctl(u *use) (err error) {
	was := u.others
	if !u.shared {
		if was, err = Read(u.handle, u.name); err != nil {
			return err
		}
	}
	u.record = mark.Sysctl(c.lab, u.name) + strings.Join(strings.Fields(was), "+")
	return c.changeLoRecord(u.handle, rtnl.AddAltNames, u.record)
}

// release restores the former value, unless another lab sets the sysctl too. It deletes
// this lab's records. touched reports whether it restored the value.
func (c *Changer) release(u use) (touched bool, err error) {
	if u.record != "" && !u.shared {
		was := strings.TrimPrefix(u.record, mark.Sysctl(c.lab, u.name))
		if was == "" && strings.HasSuffix(u.name, ".stable_secret") {
			return false, c.forget(u) // nobody can remove a secret; it is on a link of the lab
		}
		if err := c.set(u.handle, u.name, strings.ReplaceAll(was, "+", " ")); err != nil {
			return false, err
		}
		touched = true
	}
	if isForwarding(u.name) {
		if err := c.restoreForwarding(u.handle, u.lo, u.name, touched); err != nil {
			return touched, err
		}
	}
	if touched && u.needsGuard(c.lab) {
		if err := c.unguardForwarding(u.handle, u.name); err != nil {
			return touched, err
		}
	}
	if u.name == linux.ForwardingIPv6 {
		if err := c.restoreAcceptRA(u.handle, u.lo); err != nil {
			return touched, err
		}
	}
	if u.record != "" {
		err = c.forget(u)
	}
	return touched, err
}

// Read returns the value of a sysctl in a namespace.
func Read(h *netns.Handle, name string) (value string, err error) {
	err = h.RunInside(func() error {
		value, err = nsfs.Sysctl(Key(name))
		return err
	})
	return value, err
}

// set writes a sysctl in a namespace.
func (c *Changer) set(h *netns.Handle, name, value string) error {
	return h.RunInside(func() error { return c.calls.SetSysctl(Key(name), value) })
}

// Key returns the name with slashes between its parts, as package nsfs expects it.
func Key(name string) string {
	return strings.Join(topo.Sysctl{Name: name}.Path(), "/")
}

// changeLoRecord adds or deletes records on a namespace's lo.
func (c *Changer) changeLoRecord(
	h *netns.Handle, request func(rtnl.LinkID, ...string) rtnl.Request, names ...string,
) error {
	return c.calls.Send(h, request(rtnl.LinkID{Name: "lo"}, names...))
}

// forget deletes the record that the lab sets the sysctl.
func (c *Changer) forget(u use) error {
	return c.changeLoRecord(u.handle, rtnl.DeleteAltNames, u.record)
}
