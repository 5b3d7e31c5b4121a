// Package topo brings up labs: networks that a file describes.
//
// The lab file names networks (bridges), hosts (network namespaces) and links
// (veth pairs), and lists facts that must hold between them. This package
// computes the difference between the file and the kernel, shows it, applies it
// completely or not at all, proves the facts with packets, and removes the lab
// without leaving anything behind.
//
//	lab.yaml ──Parse──▶ Topology ──Compile──▶ State ──┐
//	                                                  ├──Diff──▶ Plan ──┬─ String     dry run, progress
//	kernel ──────────── Snapshot ───────────▶ State ──┘                 ├─ Commands   an ip/nft/sysctl script
//	   ▲                                                                ├─ JSON       for tools
//	   │                                                                ├─ Reverse    rollback
//	   └───────────────────── Kernel.Do ◀──── Apply ◀───────────────────┘
//
// [State] is the type of both the wanted state and the kernel's state, and
// [Diff] turns two of them into a plan. Up applies the difference from the
// kernel's state to the lab. Down applies the difference from the kernel's
// state to nothing. Status reports whether there is a difference. There is no
// state file: vnet marks each object in the kernel with the name of its lab.
//
// # From file to state
//
// [Parse] reads the file strictly. It reports all mistakes at once as
// [Mistakes], each with its line and column, the wrong text and what to write
// instead. Its result is a [Topology]: the content of the file, with defaults
// and repetitions expanded. [Compile] adds what the file leaves out: device
// names, addresses, MACs, default routes, bridge ports and NAT. It is
// deterministic: the same file gives the same state on every machine.
//
//	          machine's namespace                      host red
//	┌──────────────────────────────────────┐  ┌───────────────────────┐
//	│  v-net-0 (bridge)  192.168.15.1/24   │  │                       │
//	│     └── red-eth0 ◀───────────────────┼──┼─▶ eth0                │
//	│                                      │  │   192.168.15.2/24     │
//	│  masquerade 192.168.15.0/24          │  │   default via .1      │
//	│  forward :8080 → 192.168.15.2:80     │  │                       │
//	└──────────────────────────────────────┘  └───────────────────────┘
//
// # Code without the kernel
//
// Parse, Compile, Diff, Plan, Export and the graphs depend only on their
// arguments. They run and are tested on any system, and do not panic on any
// file. Only files with the build tag linux use the kernel.
//
// # What is not checked
//
// Parse does not look at the machine. Whether a parent device exists, a port
// is in use or the kernel supports macvlan is checked when a plan is made,
// before anything is changed. The shell commands of run are not checked, nor
// whether the servers named in dns answer.
package topo
