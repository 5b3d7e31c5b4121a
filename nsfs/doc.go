// Package nsfs manages network namespaces: it creates, names, opens, lists and
// removes them, and runs functions and programs inside them.
//
// A network namespace exists as long as something refers to it: a thread
// inside, an open file, or a bind mount. Like ip-netns(8), this package names a
// namespace by bind-mounting its file on /run/netns/NAME. Each of the two tools
// can list, use and remove the names of the other.
//
//	New ──▶ *os.File ──Attach──▶ /run/netns/red ──Open──▶ *os.File
//	           │                                             │
//	           └── rtnl.Dial · nft.Dial · Do · Exec ◀────────┘
//
// The other packages take an open *os.File as the namespace. It stays valid when
// the name is removed.
//
// # Threads
//
// setns(2) and unshare(2) change one thread, and the Go runtime moves
// goroutines between threads. So this package enters a namespace only on a thread
// that ends afterwards: no other goroutine can run on it later. Only the first
// thread of the process cannot end; work that would run there moves to another
// thread. The function [Enter] is for programs that stay in a namespace.
//
// A goroutine that is started inside [Do] runs outside of the namespace. The same is
// true for functions that start goroutines, such as those of net.Resolver. Files and
// sockets that were opened inside stay in the namespace, whichever goroutine uses them.
//
// # What is not checked
//
// The caller needs CAP_SYS_ADMIN in the user namespace that owns the network
// namespace; see setns(2) and mount(2). In a [Sandbox] every user has it.
package nsfs
