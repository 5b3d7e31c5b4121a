//go:build linux

package nft

import (
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// A Watcher reports that the ruleset of a namespace changes. It does not say what changed: read it again.
type Watcher struct{ nl *netlink.Conn }

// Watch starts to watch the ruleset of the namespace ns (NFNLGRP_NFTABLES of <linux/netfilter/nfnetlink.h>); nil is the
// namespace of the calling thread. To miss nothing, first call Watch and then read the ruleset.
func Watch(ns *os.File) (*Watcher, error) {
	nl, err := dial.Conn(unix.NETLINK_NETFILTER, ns, netlink.Config{})
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	if err := nl.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		nl.Close()
		return nil, fmt.Errorf("watch the ruleset: %w", err)
	}
	return &Watcher{nl}, nil
}

// Next waits until the ruleset changes. One transaction may be several changes. After Close it returns an error.
func (w *Watcher) Next() error {
	_, err := w.nl.Receive()
	if errors.Is(err, unix.ENOBUFS) {
		return nil // the kernel dropped messages about changes
	}
	return err
}

// Close ends the watch. A waiting Next returns.
func (w *Watcher) Close() error { return w.nl.Close() }
