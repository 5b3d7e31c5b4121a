// Package setting sets the sysctls that a lab needs, and restores them when nobody needs them any more.
//
// Several labs, and the rules of vnet nat, may need the same sysctl of a machine. Records on the namespace's lo
// say who needs it, and its value from before the first of them:
//
//	red needs forwarding     vnet:red:net.ipv4.ip_forward=0     =1
//	so does blue             vnet:blue:net.ipv4.ip_forward=0
//	red goes down                                               still 1
//	blue goes down                                              =0
//
// Forwarding is one sysctl for all links. So the sysctls that the kernel resets with it are recorded too, and the guard
// of package nft keeps foreign networks apart.
//
// The caller of a [Changer] holds the lock of [netns.LockSysctls]: a lab must not record a value as the former one
// that another lab has just set.
package setting
