//go:build linux

package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// Attach attaches a member to a network, and first makes what is missing of the network. It does all or nothing. It
// sends as many requests, however many members the network has. The kernel's own work grows a little: a bridge goes
// through its ports when one is added.
//
// If the member is attached already, the error is fs.ErrExist, and Attach returns what is there. What an Attach that
// was killed has left of the member is removed first. If all addresses of a subnet are taken, or a fixed address or
// a port is, Attach waits up to a second: a namespace that has just ended keeps them for a moment. Then the error is
// [ErrExhausted] or a [TakenError].
func Attach(ctx context.Context, n Network, m Member) (Attached, error) {
	if err := n.check(); err != nil {
		return Attached{}, err
	}
	if err := m.check(n); err != nil {
		return Attached{}, err
	}
	a := &attachment{Network: n, m: m, host: hostName(n.Name, m.id())}
	unlock, err := lockName(ctx, a.host)
	if err != nil {
		return Attached{}, err
	}
	defer unlock()
	if err := a.open(); err != nil {
		return Attached{}, err
	}
	defer a.close()
	if there, err := a.clear(ctx); err != nil {
		return there, err
	}
	for try := 1; ; try++ {
		done, err := a.make(ctx)
		if err == nil {
			return done, nil
		}
		err = errors.Join(err, a.undo())
		if !errors.Is(err, errNetworkGone) || try == maxRetries {
			return Attached{}, fmt.Errorf("attach %s to network %s: %w", m.ID, n.Name, err)
		}
	}
}

// maxRetries limits how often Attach makes the network again after another process has removed it.
const maxRetries = 5

// errNetworkGone means that the network was removed while a member was attached.
var errNetworkGone = errors.New("the network was removed at the same time")

func (m Member) id() ID { return ID{m.ID, m.Link} }

// check returns an error if the member cannot be attached to the network.
func (m Member) check(n Network) error {
	if err := m.id().check(); err != nil {
		return err
	}
	if m.MAC[0]&1 != 0 {
		return fmt.Errorf("mac %s is a multicast address; a link needs a unicast address", rtnl.LLAddr(m.MAC[:]))
	}
	used := map[netip.Prefix]netip.Addr{}
	for _, a := range m.Addresses {
		s, ok := n.subnetOf(a)
		switch {
		case !ok:
			return fmt.Errorf("address %s is in no subnet of network %s", a, n.Name)
		case a == s.gateway():
			return fmt.Errorf("address %s is the gateway of network %s", a, n.Name)
		case a == s.Prefix.Addr() || a.Is4() && a == lastOf(s.Prefix):
			return fmt.Errorf("address %s is the network or broadcast address of %s", a, s.Prefix)
		case used[s.Prefix].IsValid() && used[s.Prefix] != a:
			return fmt.Errorf("addresses %s and %s are both in subnet %s", used[s.Prefix], a, s.Prefix)
		}
		used[s.Prefix] = a
	}
	if len(m.Ports) > 0 && !n.Gateway {
		return fmt.Errorf("network %s has no gateway that publishes ports", n.Name)
	}
	return nil
}

// maxID is the maximum length of an ID: it is part of the alias of a link.
const maxID = 128

func (id ID) check() error {
	if id.Container == "" || len(id.Container) > maxID || strings.ContainsAny(id.Container, " \t\n\x00") {
		return fmt.Errorf("id %q: expected 1 to %d characters without blanks", id.Container, maxID)
	}
	return rtnl.CheckLinkName(id.Link)
}

func (n Network) subnetOf(a netip.Addr) (Subnet, bool) {
	for _, s := range n.Subnets {
		if s.Prefix.Contains(a) {
			return s, true
		}
	}
	return Subnet{}, false
}

// An attachment is a member while it is attached.
type attachment struct {
	Network
	m      Member
	host   string // the name of the link on the machine's side
	file   *os.File
	conn   *rtnl.Conn // on the machine
	inside *rtnl.Conn // in the namespace
	nft    *nft.Conn

	linked    bool // the link was made
	addrs     []Address
	published []nft.Forward
	former    []netip.Prefix // of the addresses, those that somebody had before
	notes     []nft.Rule     // for the next owners of the addresses; nil if they are there
}

// open opens the member's namespace, and sockets there and here.
func (a *attachment) open() (err error) {
	if a.file, err = nsfs.OpenFrom(a.m.NS, a.m.NS); err != nil {
		return err
	}
	if a.conn, err = rtnl.Dial(nil); err == nil {
		a.nft, err = nft.Dial(nil)
	}
	if err != nil {
		a.close()
		return err
	}
	here, err := nsfs.Current()
	if err != nil {
		a.close()
		return err
	}
	defer here.Close()
	own, err := nsfs.Identity(here)
	there, thereErr := nsfs.Identity(a.file)
	if err := errors.Join(err, thereErr); err != nil || own == there {
		a.close()
		return cmp.Or(err, fmt.Errorf("namespace %s: %w", a.m.NS, ErrOwnNamespace))
	}
	return nil
}

// ErrOwnNamespace means that the namespace of a member is the one of the calling process.
var ErrOwnNamespace = errors.New("it is the namespace of this process; a member needs one of its own")

func (a *attachment) close() {
	if a.file != nil {
		a.file.Close()
	}
	if a.inside != nil {
		a.inside.Close()
	}
	if a.conn != nil {
		a.conn.Close()
	}
	if a.nft != nil {
		a.nft.Close()
	}
}

// clear removes the member if it is not complete. If it is, the error is fs.ErrExist. If its link is in another
// namespace, that one may just have ended, so clear waits for a moment.
func (a *attachment) clear(ctx context.Context) (there Attached, err error) {
	err = patiently(ctx, func() error {
		l, err := a.conn.Link(rtnl.LinkID{Name: a.host})
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		whole, err := isOurs(l, a.Name, a.m.id())
		if err != nil {
			return err
		}
		if !whole {
			return removeMember(a.conn, a.nft, a.Name, l)
		}
		if !a.isPeer(l) {
			return &TakenError{What: a.host}
		}
		if there, err = a.describe(l); err != nil {
			return err
		}
		return attachedError{a.Name, a.m.id()}
	})
	if isTaken(err) {
		err = attachedError{a.Name, a.m.id()}
	}
	return there, err
}

// isOurs returns an error if a link has the name of a member's link, but the alias of another. whole is false while
// Attach works, or after it was killed.
func isOurs(l rtnl.Link, network string, id ID) (whole bool, err error) {
	of, owner, whole, ok := parseAlias(l.Alias)
	if l.Alias != "" && (!ok || of != network || owner != id) {
		return false, fmt.Errorf("link %s exists, but does not belong to %s of %s", l.Name, id.Link, id.Container)
	}
	return whole, nil
}

// isPeer reports whether the other end of the member's link is the link in the namespace.
func (a *attachment) isPeer(l rtnl.Link) bool {
	c, err := rtnl.Dial(a.file)
	if err != nil {
		return false
	}
	defer c.Close()
	inside, err := c.Link(rtnl.LinkID{Name: a.m.Link})
	return err == nil && inside.Parent == l.Index && l.Parent == inside.Index
}

// An attachedError names a member that is attached already.
type attachedError struct {
	network string
	id      ID
}

func (e attachedError) Error() string {
	return fmt.Sprintf("%s of %s is already attached to network %s", e.id.Link, e.id.Container, e.network)
}

func (e attachedError) Is(target error) bool { return target == fs.ErrExist }

// make makes the member. After an error, undo removes what it has made.
func (a *attachment) make(ctx context.Context) (Attached, error) {
	b, err := a.ensure(ctx, a.conn)
	if err != nil {
		return Attached{}, err
	}
	if err := a.addLink(b); err != nil {
		return Attached{}, err
	}
	if err := a.claimAddresses(ctx); err != nil {
		return Attached{}, err
	}
	if err := a.forgetFormer(ctx); err != nil {
		return Attached{}, err
	}
	if err := a.configure(); err != nil {
		return Attached{}, err
	}
	if err := a.publish(ctx); err != nil {
		return Attached{}, err
	}
	if b, err = a.finish(); err != nil {
		return Attached{}, err
	}
	host, link, err := a.run(ctx, b)
	if err == nil {
		err = a.announce(link)
	}
	if err != nil {
		return Attached{}, err
	}
	return Attached{Network: a.Name, ID: a.m.ID, Bridge: interfaceOf(b.Link), Host: interfaceOf(host),
		Link: interfaceOf(link), NS: a.m.NS, Addresses: a.addrs, Routes: a.routes(), Ports: portsOf(a.published)}, nil
}

func interfaceOf(l rtnl.Link) Interface {
	i := Interface{Name: l.Name, MTU: l.MTU}
	copy(i.MAC[:], l.Address)
	return i
}

// undo removes what make has made. It does not stop when the caller's context is done.
func (a *attachment) undo() error {
	if !a.linked {
		return nil
	}
	l, err := a.conn.Link(rtnl.LinkID{Name: a.host})
	if err == nil {
		err = removeMember(a.conn, a.nft, a.Name, l)
	}
	a.linked, a.addrs, a.published = false, nil, nil
	a.former, a.notes = nil, nil
	if a.inside != nil {
		a.inside.Close()
		a.inside = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
