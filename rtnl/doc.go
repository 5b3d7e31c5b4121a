// Package rtnl speaks rtnetlink(7): links, addresses, routes, neighbours and
// namespace ids of one network namespace, read and changed over one socket.
//
//	AddLink(l) ─┐                              ┌─▶ nil
//	SetLink(l) ─┼─▶ Request ──▶ Conn.Do ──▶ kernel
//	AddAddr(a) ─┘   (a value)   (one sendmsg)  └─▶ *Error for each that failed
//
//	kernel ──▶ Conn.Links, Conn.Addrs, Conn.Routes, … ──▶ values
//
// A change is a value, a [Request], that any [Conn] can carry out, alone or with
// many others in one system call. Reading is a method of Conn. The socket stays in the
// namespace it was dialled in, whatever becomes of its name, and whichever
// goroutine uses it.
//
// One file holds one kind of object: its type, its encoding and decoding, its
// requests and its queries. The messages of
// github.com/jsimonetti/rtnetlink/v2 encode what they know; what they lack is
// appended beside them.
//
// # What is not checked
//
// The kernel is the judge of what a request means. Only what it would
// misunderstand in silence (a name too long, an address of the wrong family) is
// refused before.
package rtnl
