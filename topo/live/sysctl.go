package live

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// sysctlStage sets and restores sysctls. It holds a lock that all labs of the machine share:
// a lab must not record a value as the former one that another lab has just set.
func (x *executor) sysctlStage(stage []topo.Step, results []result) {
	lock, err := lockSysctls()
	if err != nil {
		for i := range results {
			results[i].err = err
		}
		return
	}
	defer lock.Close()
	for i, s := range stage {
		results[i] = x.sysctlStep(s)
	}
}

// A settingUse is what the records on a namespace's lo say about the use of a sysctl. Each lab
// that sets the sysctl has a record with the value from before the first of them.
type settingUse struct {
	handle *netnsHandle
	lo     rtnl.Link
	name   string
	record string // this lab's record; "" if it does not set the sysctl
	others string // the former value in the record of another lab; "" if no other lab sets it
}

func (h *netnsHandle) settingUse(lab, name string) (u settingUse, err error) {
	u.handle, u.name = h, name
	if u.lo, err = h.conn.Link(rtnl.LinkID{Name: "lo"}); err != nil {
		return u, err
	}
	u.record, _ = mark.Find(u.lo.AltNames, mark.Sysctl(lab, name))
	u.others = mark.Foreign(u.lo.AltNames, lab, name)
	return u, nil
}

func (x *executor) sysctlStep(step topo.Step) (r result) {
	key := step.Object().Key()
	h, err := x.handle(key.NS)
	if err != nil {
		return result{err: err}
	}
	u, err := h.settingUse(x.lab, key.Name)
	if err != nil {
		return result{err: err}
	}
	switch step.Op() {
	case topo.Create:
		r.touched, r.err = x.acquireSetting(u)
		if r.err == nil {
			r.err = x.setSysctl(h, key.Name, step.Want.(topo.Sysctl).Value)
		}
		r.touched = true // also after an error: the kernel may have done what it did not answer
	case topo.Change:
		if value := step.Want.(topo.Sysctl).Value; strings.HasSuffix(value, unguarded) {
			r.touched, r.err = true, x.unguardForwarding(h, key.Name) // undo: remove the guard that the Change added
		} else {
			r = x.changeSetting(u, value)
		}
	case topo.Delete:
		r.touched, r.err = x.releaseSetting(u)
	}
	return r
}

// changeSetting sets a sysctl that the lab has set before. If the guard of forwarding is missing, it adds
// the guard again.
func (x *executor) changeSetting(u settingUse, value string) (r result) {
	if u.needsGuard(x.lab) {
		if r.err = x.guardForwarding(u.handle, u.name); r.err != nil {
			return r
		}
		r.touched = true
	}
	if r.err = x.setSysctl(u.handle, u.name, value); r.err == nil {
		r.touched = true
	}
	return r
}

// acquireSetting records what a write to the sysctl changes: its value, and for forwarding also
// the links that forward already and those that need accept_ra=2.
func (x *executor) acquireSetting(u settingUse) (touched bool, err error) {
	if u.record == "" {
		if err := x.recordSysctl(&u); err != nil {
			return false, err
		}
		touched = true
	}
	if u.handle.own {
		return touched, nil // nobody else uses the links in the lab's own namespaces
	}
	if isForwarding(u.name) {
		recorded, err := x.recordForwarding(u.handle, u.lo, u.name)
		if touched = touched || recorded; err != nil {
			return touched, err
		}
	}
	if u.name == linux.ForwardingIPv6 {
		kept, err := x.keepAcceptRA(u.handle, u.lo)
		if touched = touched || kept; err != nil {
			return touched, err
		}
	}
	if u.needsGuard(x.lab) {
		return true, x.guardForwarding(u.handle, u.name)
	}
	return touched, nil
}

// recordSysctl records the value that the sysctl had before the first lab set it.
func (x *executor) recordSysctl(u *settingUse) (err error) {
	was := u.others
	if was == "" {
		if was, err = u.handle.sysctl(u.name); err != nil {
			return err
		}
	}
	u.record = mark.Sysctl(x.lab, u.name) + strings.Join(strings.Fields(was), "+")
	return x.changeLoRecord(u.handle, rtnl.AddAltNames, u.record)
}

// releaseSetting restores the former value, unless another lab sets the sysctl, too, and deletes
// this lab's records. touched reports whether it restored the value.
func (x *executor) releaseSetting(u settingUse) (touched bool, err error) {
	if u.record != "" && u.others == "" {
		was := strings.TrimPrefix(u.record, mark.Sysctl(x.lab, u.name))
		if err := x.setSysctl(u.handle, u.name, strings.ReplaceAll(was, "+", " ")); err != nil {
			return false, err
		}
		touched = true
	}
	if isForwarding(u.name) {
		if err := x.restoreForwarding(u.handle, u.lo, u.name, touched); err != nil {
			return touched, err
		}
	}
	if touched && u.needsGuard(x.lab) {
		if err := x.unguardForwarding(u.handle, u.name); err != nil {
			return touched, err
		}
	}
	if u.name == linux.ForwardingIPv6 {
		if err := x.restoreAcceptRA(u.handle, u.lo); err != nil {
			return touched, err
		}
	}
	if u.record != "" {
		err = x.changeLoRecord(u.handle, rtnl.DeleteAltNames, u.record)
	}
	return touched, err
}

func (h *netnsHandle) sysctl(name string) (value string, err error) {
	err = h.runInside(func() error {
		value, err = nsfs.Sysctl(sysctlKey(name))
		return err
	})
	return value, err
}

func (x *executor) setSysctl(h *netnsHandle, name, value string) error {
	return h.runInside(func() error { return x.calls.setSysctl(sysctlKey(name), value) })
}

// setSysctlIfExists sets a sysctl that not every kernel has.
func setSysctlIfExists(name, value string) error {
	err := nsfs.SetSysctl(name, value)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sysctlKey returns the name with slashes between its parts, as package nsfs expects it.
func sysctlKey(name string) string {
	return strings.Join(topo.Sysctl{Name: name}.Path(), "/")
}
