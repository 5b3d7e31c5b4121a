// Package topo is the model of a lab: what exists in the kernel, or should, and the plan that leads
// from one to the other. It reads no files and makes no system calls.
//
//	lab.yaml ──Parse──▶ Topology ──Compile──▶ State ──┐
//	                                                  ├──Diff──▶ Plan ──┬─ String     dry run, progress
//	kernel ──────────── Snapshot ───────────▶ State ──┘                 ├─ Commands   an ip/nft/sysctl script
//	   ▲                                                                ├─ JSON       for tools
//	   │                                                                ├─ Reverse    rollback
//	   └──────────────── live.Kernel.Do ◀──── Apply ◀───────────────────┘
//
// A [State] is a set of objects: namespaces, links, addresses, routes, NAT rules and others. It is
// made in two ways: package lab compiles it from a file, and package live reads it from the
// kernel. [Diff] compares two states and returns a [Plan]. Up is Diff(kernel, file), down is
// Diff(kernel, nothing), and status asks whether the plan is empty.
//
//	topo        State, Plan, Apply, Commands        this package
//	topo/lab    the lab file: Parse, Compile, Export, Format
//	topo/draw   pictures of a lab
//	topo/live   the kernel: Snapshot, Up, Down, Status      Linux only
//	topo/verify facts, proved with packets                  Linux only
//	topo/doctor what keeps labs from working                Linux only
//	topo/topotest a lab for a Go test                       Linux only
//
// A [Step] is data: it creates, changes or deletes one object, and can be printed, reversed or
// written as a shell command. [Apply] gives the steps to a function ([Do]), stage by stage: all
// steps take effect, or none.
//
// # What is not checked
//
// The model does not know what a kernel supports or what else the machine has. Package live checks
// that before it changes anything.
package topo
