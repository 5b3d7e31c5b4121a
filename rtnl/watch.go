package rtnl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// Group is a multicast group of rtnetlink: RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR … of
// <linux/rtnetlink.h>.
type Group uint32

// The groups for links, addresses, routes, neighbours, rules, namespace ids, queueing disciplines, and the settings of
// links that the kernel reports: forwarding, rp_filter, proxy_arp … (NETCONFA_* of <linux/netconf.h>).
const (
	GroupLink   Group = unix.RTNLGRP_LINK
	GroupAddr4  Group = unix.RTNLGRP_IPV4_IFADDR
	GroupAddr6  Group = unix.RTNLGRP_IPV6_IFADDR
	GroupRoute4 Group = unix.RTNLGRP_IPV4_ROUTE
	GroupRoute6 Group = unix.RTNLGRP_IPV6_ROUTE
	GroupNeigh  Group = unix.RTNLGRP_NEIGH
	GroupRule4  Group = unix.RTNLGRP_IPV4_RULE
	GroupRule6  Group = unix.RTNLGRP_IPV6_RULE
	GroupNSID   Group = unix.RTNLGRP_NSID
	GroupQdisc  Group = unix.RTNLGRP_TC

	GroupSettings4 Group = unix.RTNLGRP_IPV4_NETCONF
	GroupSettings6 Group = unix.RTNLGRP_IPV6_NETCONF
)

// An Event is one change in a namespace.
type Event struct {
	// Deleted means that Object was deleted; otherwise it is new or has changed.
	Deleted bool
	// Object is a [Link], [Addr], [Route], [Neigh], [Rule] or [NSID] in its new state, or its
	// last state if deleted. It is nil for settings and queueing disciplines, which are not decoded.
	Object any
	// Lost means that the kernel dropped events because the receive buffer was full.
	// Object is nil. Read the state again.
	Lost bool
}

// A Watcher reports changes in one namespace.
type Watcher struct {
	nl      *netlink.Conn
	pending []netlink.Message
}

// Watch starts to watch groups in the namespace ns; nil is the namespace of the calling
// thread. The kernel keeps events until [Watcher.Next] returns them. To miss nothing, first
// call Watch and then read the state.
func Watch(ns *os.File, groups ...Group) (*Watcher, error) {
	nl, err := dial.Conn(unix.NETLINK_ROUTE, ns, netlink.Config{Strict: true})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	for _, g := range groups {
		if err := nl.JoinGroup(uint32(g)); err != nil {
			nl.Close()
			return nil, fmt.Errorf("watch group %d: %w", g, err)
		}
	}
	return &Watcher{nl: nl}, nil
}

// Close ends the watch.
func (w *Watcher) Close() error { return w.nl.Close() }

// Next waits for the next event until ctx is done. It skips messages of other types.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.nl.SetReadDeadline(time.Unix(1, 0))
		close(cancelled)
	})
	defer func() {
		if !stop() { // the function has started: undo its deadline for the next call
			<-cancelled
			w.nl.SetReadDeadline(time.Time{})
		}
	}()
	for {
		for len(w.pending) > 0 {
			m := w.pending[0]
			w.pending = w.pending[1:]
			if e, ok := decodeEvent(m); ok {
				return e, nil
			}
		}
		if err := ctx.Err(); err != nil {
			return Event{}, err
		}
		var err error
		w.pending, err = w.nl.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			return Event{Lost: true}, w.drain()
		case err != nil && ctx.Err() != nil:
			return Event{}, ctx.Err()
		case err != nil:
			return Event{}, fmt.Errorf("watch: %w", err)
		}
	}
}

// drain discards all queued messages. Until the queue is empty, the kernel drops new
// messages without another ENOBUFS. A caller that reads the state afterwards misses
// nothing.
func (w *Watcher) drain() error {
	raw, err := w.nl.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	var buf [1]byte // the rest of a datagram is dropped
	// Not Read: it would fail with the deadline of a cancelled call.
	return raw.Control(func(fd uintptr) {
		for {
			_, _, err := unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
			if err != nil && err != unix.ENOBUFS && err != unix.EINTR {
				return
			}
		}
	})
}

// decodeEvent decodes a notification; false if its type is unknown or it is malformed.
func decodeEvent(m netlink.Message) (Event, bool) {
	var e Event
	var err error
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		e.Object, err = decodeLink(m.Data)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		e.Object, err = decodeAddr(m.Data)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		e.Object, err = decodeRoute(m.Data)
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		e.Object, err = decodeNeigh(m.Data)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		e.Object, err = decodeRule(m.Data)
	case unix.RTM_NEWNSID, unix.RTM_DELNSID:
		e.Object, err = decodeNSID(m.Data)
	case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF, unix.RTM_NEWQDISC, unix.RTM_DELQDISC:
	default:
		return Event{}, false
	}
	switch m.Header.Type {
	case unix.RTM_DELLINK, unix.RTM_DELADDR, unix.RTM_DELROUTE, unix.RTM_DELNEIGH, unix.RTM_DELRULE,
		unix.RTM_DELNSID, unix.RTM_DELNETCONF, unix.RTM_DELQDISC:
		e.Deleted = true
	}
	return e, err == nil
}
