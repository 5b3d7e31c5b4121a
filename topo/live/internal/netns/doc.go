// Package netns holds the namespaces of a lab open.
//
//	Table ──┬─ Handle of the machine     rtnetlink socket, namespace file; nftables socket when needed
//	        ├─ Handle of red             rtnetlink socket
//	        └─ Handle of an adopted one  rtnetlink socket, namespace file
//
// A [Handle] also has the indexes of links, and the last [Snapshot] of the namespace: package live writes it, and
// package execute reads it before it changes something. If the lab is to be changed, its [Table] holds the lock of
// the lab. Another lock is for the sysctls, because all labs of a machine share them.
//
// # What is not checked
//
// A handle stays valid if another program deletes the namespace's name: the kernel keeps the namespace as long as
// the socket is open. [Table.Add] does not check that a namespace is the lab's: its callers do.
package netns
