// Package lab reads the lab file. The file names networks (bridges), hosts (network namespaces) and
// links (veth pairs), and lists facts that must hold between them.
//
//	lab.yaml ──Parse──▶ Topology ──Compile──▶ topo.State     what up creates
//	   ▲                   │ ▲
//	   └──────Format───────┘ └─────Export──── topo.State     read from the kernel
//	                       └──────Facts─────▶ []Fact         what verify proves
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
// [Layout] is a topology with the names and addresses of all its devices. Pictures and probes use
// it.
//
// # What is not checked
//
// Parse does not look at the machine. Whether a parent device exists, a port
// is in use or the kernel supports macvlan is checked when a plan is made,
// before anything is changed. The shell commands of run and the servers of dns
// are not checked at all.
package lab
