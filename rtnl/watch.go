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

// The groups that tell of links, addresses, routes, neighbours and namespace ids.
const (
	GroupLink   Group = unix.RTNLGRP_LINK
	GroupAddr4  Group = unix.RTNLGRP_IPV4_IFADDR
	GroupAddr6  Group = unix.RTNLGRP_IPV6_IFADDR
	GroupRoute4 Group = unix.RTNLGRP_IPV4_ROUTE
	GroupRoute6 Group = unix.RTNLGRP_IPV6_ROUTE
	GroupNeigh  Group = unix.RTNLGRP_NEIGH
	GroupNSID   Group = unix.RTNLGRP_NSID
)

// An Event is one change in a namespace.
type Event struct {
	// Deleted says that Object is no more; otherwise it is new, or has changed.
	Deleted bool
	// Object is a [Link], [Addr], [Route], [Neigh] or [NSID], as it is now or was
	// last.
	Object any
	// Lost says that events were dropped, for there were more than the socket
	// holds. Object is nil; read again what you want to know.
	Lost bool
}

// A Watcher is told of what changes in one namespace.
type Watcher struct {
	nl      *netlink.Conn
	pending []netlink.Message
}

// Watch begins to listen in the namespace ns; nil is the calling thread's.
// Events from now on are kept until [Watcher.Next] takes them: to miss nothing,
// watch first and read then.
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

// Next waits for the next event, as long as ctx lasts. Messages of other kinds
// are passed over.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.nl.SetReadDeadline(time.Unix(1, 0))
		close(woken)
	})
	defer func() {
		if !stop() { // it runs, or did: its deadline is not for the next call
			<-woken
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

// drain throws away what is queued: as long as there is anything, the kernel drops
// what comes, and without telling again. Who reads afterwards misses nothing.
func (w *Watcher) drain() error {
	raw, err := w.nl.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	var buf [1]byte // of a datagram, the rest is dropped
	// Not Read: it heeds the deadline of a call that was cancelled.
	return raw.Control(func(fd uintptr) {
		for {
			_, _, err := unix.Recvfrom(int(fd), buf[:], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
			if err != nil && err != unix.ENOBUFS && err != unix.EINTR {
				return
			}
		}
	})
}

// decodeEvent reads a notification; false if it is none that we know.
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
	case unix.RTM_NEWNSID, unix.RTM_DELNSID:
		e.Object, err = decodeNSID(m.Data)
	default:
		return Event{}, false
	}
	switch m.Header.Type {
	case unix.RTM_DELLINK, unix.RTM_DELADDR, unix.RTM_DELROUTE, unix.RTM_DELNEIGH, unix.RTM_DELNSID:
		e.Deleted = true
	}
	return e, err == nil
}
