//go:build linux

package topo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A LackError says what a lab needs of the kernel, and the kernel does not have.
type LackError struct {
	// Features are what is lacking: IPv6, vlan, dummy, netem, "bridge VLAN filtering" ….
	Features []string
	// For is what needs the first of them.
	For Object
}

// Error names what is lacking, and what for.
func (e *LackError) Error() string {
	return fmt.Sprintf("this kernel has no %s, for %v", strings.Join(e.Features, ", no "), e.For)
}

// Is tells that this is errors.ErrUnsupported.
func (e *LackError) Is(target error) bool { return target == errors.ErrUnsupported }

const (
	vlanFiltering = "bridge VLAN filtering"
	offload       = "netlink of ethtool"
	flowtable     = "flowtables"
)

// feature is what an object needs that not every kernel has; "" is nothing.
func feature(o Object) string {
	switch o := o.(type) {
	case Bridge:
		if o.VLANFiltering {
			return vlanFiltering
		}
	case Dummy:
		return "dummy"
	case VLAN:
		return "vlan"
	case VXLAN:
		return "vxlan"
	case Macvlan:
		return "macvlan"
	case Ipvlan:
		return "ipvlan"
	case Qdisc:
		return "netem"
	case NoOffload:
		return offload
	case Fastpath:
		return flowtable
	}
	return ""
}

// speaksIPv6 tells whether the kernel does: it may be built without, or have been
// told not to (ipv6.disable=1).
func speaksIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.EAFNOSUPPORT
}

func needsIPv6(o Object) bool {
	switch o := o.(type) {
	case Address:
		return o.Prefix.Addr().Is6()
	case Route:
		return o.Dst.Addr().Is6()
	case Neigh:
		return o.Addr.Is6()
	case Sysctl:
		return strings.HasPrefix(o.Name, "net.ipv6.") || strings.HasPrefix(o.Name, "net/ipv6/")
	}
	return false
}

// lacks finds out whether the kernel has what a plan needs, before anything is
// touched: it tries in a namespace of its own, that nobody sees.
func lacks(plan Plan) error {
	if !speaksIPv6() {
		for _, s := range plan {
			if s.Want != nil && needsIPv6(s.Want) {
				return &LackError{[]string{"IPv6"}, s.Want}
			}
		}
	}
	var needed []string
	first := map[string]Object{}
	for _, s := range plan {
		if f := feature(s.Object()); f != "" && s.Want != nil && first[f] == nil {
			needed, first[f] = append(needed, f), s.Want
		}
	}
	if len(needed) == 0 {
		return nil
	}
	slices.Sort(needed)
	t, err := newTrial()
	if err != nil {
		return err
	}
	defer t.close()
	var lack []string
	for _, f := range needed {
		switch has, err := t.has(f); {
		case err != nil:
			return err
		case !has:
			lack = append(lack, f)
		}
	}
	if len(lack) == 0 {
		return nil
	}
	return &LackError{lack, first[lack[0]]}
}

// A trial is a namespace to try things out in. It goes away when it is closed.
type trial struct {
	ns   *os.File
	conn *rtnl.Conn
}

func (t *trial) close() {
	t.conn.Close()
	t.ns.Close()
}

// tryParent is the index of a link that others can stand on.
const (
	tryParent     = 2
	tryParentName = "parent"
)

func newTrial() (*trial, error) {
	ns, err := nsfs.New()
	if err != nil {
		return nil, err
	}
	conn, err := rtnl.Dial(ns)
	if err != nil {
		ns.Close()
		return nil, err
	}
	t := &trial{ns, conn}
	err = conn.Do(rtnl.AddLink(rtnl.LinkConfig{Name: tryParentName, Index: tryParent, Kind: rtnl.Kind{Name: "bridge"}}))
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *trial) has(feature string) (bool, error) {
	var err error
	switch feature {
	case offload:
		var o *rtnl.Offload
		if o, err = rtnl.DialOffload(nil); err == nil {
			err = o.Close()
		}
	case flowtable:
		err = t.tryFlowtable()
	default:
		err = t.conn.Do(t.request(feature))
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

func (t *trial) tryFlowtable() error {
	c, err := nft.Dial(t.ns)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Apply("vnet", nil, []nft.Rule{nft.Fastpath{Device: tryParentName}})
}

// request asks for the least that has the feature.
func (t *trial) request(feature string) rtnl.Request {
	kind := rtnl.Kind{Name: feature}
	config := rtnl.LinkConfig{Name: "try-" + feature, Parent: tryParent}
	switch feature {
	case "netem":
		return rtnl.ReplaceNetem(rtnl.Netem{Link: tryParent})
	case vlanFiltering:
		kind.Name, kind.Options = "bridge", rtnl.Options{"vlan_filtering": uint64(1)}
		config.Name, config.Parent = "try-filtering", 0
	case "vlan":
		kind.Options = rtnl.Options{"id": uint64(1)}
	case "vxlan":
		kind.Options, config.Parent = rtnl.Options{"id": uint64(1), "dstport": uint64(4789)}, 0
	case "macvlan":
		kind.Options = rtnl.Options{"mode": macvlanModes["bridge"]}
	case "ipvlan":
		kind.Options = rtnl.Options{"mode": ipvlanModes["l2"]}
	case "dummy":
		config.Parent = 0
	}
	config.Kind = kind
	return rtnl.AddLink(config)
}
