// Package topo keeps labs: networks described by what they should be.
//
// A lab is a file. It names switches, hosts and cables, and the facts that
// must hold between them; this package finds the difference to what is, shows
// it, makes it true whole or not at all, proves it with packets, and takes it
// away without a trace.
//
//	lab.yaml ──Parse──▶ Topology ──Compile──▶ State ──┐
//	                                                  ├──Diff──▶ Plan ──┬─ String     dry run, progress
//	kernel ──────────── Snapshot ───────────▶ State ──┘                 ├─ Commands   an ip/nft/sysctl script
//	   ▲                                                                ├─ JSON       for tools
//	   │                                                                ├─ Reverse    rollback
//	   └───────────────────── Kernel.Do ◀──── Apply ◀───────────────────┘
//
// There is one value for what should be and what is, [State], and one function
// from two of them to what to do. Up is the difference from what is to the
// lab, down the difference from what is to nothing, status asks whether there
// is one. No second way exists for any of them, and no file remembers what was
// done: what a lab made is marked with its name in the kernel.
//
// # From file to state
//
// [Parse] reads the file strictly. All that is wrong comes at once as
// [Mistakes], each with its place, the offending text and what to write
// instead. What it returns is a [Topology]: the author's intent, with defaults
// and repetitions written out. [Compile] works out what was left to it (names
// of devices, addresses, MACs, default routes, the switches' ports, NAT) and
// always works it out the same way: the same file gives the same state on any
// machine, on any day.
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
// # What is pure
//
// Parse, Compile, Diff, Plan, Export and the graphs are functions of their
// arguments. They run and are tested on any system, and never panic whatever
// the file says. The kernel is met in the files whose build tag is linux.
//
// # What is not checked
//
// Parse cannot know the machine: whether a parent device exists, a port is in
// use, or the kernel knows macvlan is found when a plan is made, before
// anything is touched. It does not check shell commands of run, nor whether
// servers named in dns answer.
package topo
