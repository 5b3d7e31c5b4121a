// Package live reads the objects of a lab from the kernel, and executes plans there. It needs Linux.
//
//	OpenKernel ──▶ Kernel ──┬─ Snapshot ──▶ topo.State      marks say which objects are the lab's
//	                        ├─ Up         read, plan, check, apply, read again
//	                        ├─ Down       read, plan, apply
//	                        └─ Do         one stage of a plan
//	Observe ──▶ Observer ───── Status     drift, counters, rates; waits for changes
//
// Each part has one task:
//
//	internal/netns      the namespaces of a lab, and an open socket in each
//	reader              snapshots, and what Up waits for
//	conflictFinder      the names, ports and addresses of a plan that somebody else has
//	internal/execute    sends the requests of a stage, and undoes them
//	internal/setting    sysctls that several labs share: records, former values, the guard
//	internal/hostfile   files for the hosts' /etc
//	internal/program    programs in /proc
//	internal/convert    link kinds and NAT rules as values of rtnl and nft, in both directions
//	cleaner             removes what a crash left
//
// Kernel has a reader and makes an executor for each plan; Observer has only a reader.
//
// There is no state file. A link has the lab's mark as its alias, a namespace has it on its lo, and
// alternative names save the former state of what the lab changed. So Down works after a crash,
// without the file.
//
// [Kernel.Up] makes all changes or none: if a step fails, or the kernel differs from the lab
// afterwards, it undoes what it did. A lock in /run/vnet allows one run at a time on a lab.
//
// # What is not checked
//
// The lock does not stop other programs from making changes during a run. Up reads the kernel again at the end
// and reports a difference.
package live
