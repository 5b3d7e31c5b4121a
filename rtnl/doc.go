// Package rtnl implements rtnetlink(7): it reads and changes the links, addresses,
// routes, rules, neighbours, VLANs of bridge ports, netem queueing disciplines and
// namespace ids of one network namespace over one socket. A [Watcher] reports changes;
// an [Offload] changes offloads with ethtool's netlink messages.
//
//	AddLink(l) ─┐                              ┌─▶ nil
//	SetLink(l) ─┼─▶ Request ──▶ Conn.Do ──▶ kernel
//	AddAddr(a) ─┘   (a value)   (one sendmsg)  └─▶ *Error for each that failed
//
//	kernel ──▶ Conn.Links, Conn.Addrs, Conn.Routes, … ──▶ values
//
// A change is a value, a [Request]. Any [Conn] can send it, alone or together with
// many others in one system call. Methods of Conn read. The socket stays in the
// namespace in which it was opened, even if the namespace loses its name, and
// whichever goroutine uses it.
//
// One file contains one kind of object: its type, its encoding and decoding, its
// requests and its queries. github.com/jsimonetti/rtnetlink/v2 encodes a part of the
// attributes of links and routes. This package encodes the others, and all other objects.
//
// # What is not checked
//
// The kernel decides whether a request is valid. This package refuses only what the
// kernel would silently misinterpret: for example a name that is too long, or an
// address of the wrong family.
package rtnl
