// Package netns holds the namespaces of a lab open.
//
//	Table ──┬─ Handle of the machine     rtnetlink socket, namespace file; nftables socket when needed
//	        ├─ Handle of red             rtnetlink socket
//	        └─ Handle of an adopted one  rtnetlink socket, namespace file
//
// A [Handle] also knows the indexes of links, and what was last read in the namespace: package live reads it, and
// package execute looks there before it changes something. The [Table] of a lab that is changed has the lock of
// the lab; another lock is for the sysctls, which all labs of a machine share.
//
// # What is not checked
//
// A handle stays valid if another program deletes the namespace's name: the kernel keeps the namespace as long as
// the socket is open. Add does not check that a namespace is the lab's: the caller did.
package netns
