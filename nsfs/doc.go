// Package nsfs keeps network namespaces: it makes, names, opens, lists and
// removes them, and runs things inside.
//
// A network namespace lives as long as something refers to it: a thread
// inside, an open file, or a bind mount. Like ip-netns(8), this package gives
// one a name by bind-mounting its file on /run/netns/NAME; the two tools see,
// use and remove each other's.
//
//	New ──▶ *os.File ──Attach──▶ /run/netns/red ──Open──▶ *os.File
//	           │                                             │
//	           └── rtnl.Dial · nft.Dial · Do · Exec ◀────────┘
//
// An open *os.File is the handle that the other packages take. It stays valid
// when the name is removed.
//
// # Threads
//
// setns(2) and unshare(2) change one thread, and the Go runtime moves
// goroutines between threads. So a namespace is only ever entered on a thread
// that is thrown away afterwards: no goroutine can meet it later. The one
// thread that cannot be thrown away is the first of the process; work that
// happens to start there is handed to another.
//
// Inside [Do], a new goroutine (and whatever starts one: a net.Resolver, a
// host name lookup) is outside again. Files and sockets that were opened inside
// stay inside, whoever uses them.
//
// # What is not checked
//
// The caller needs CAP_SYS_ADMIN over the user namespace that owns the network
// namespace, as setns(2) and mount(2) say; [Sandbox] gives it to anybody.
package nsfs
