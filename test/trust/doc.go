// Package trust counts how often vnet breaks a promise of SECURITY.md. Its tests cause failures on purpose: system
// calls that fail, processes that are killed, many commands at once, hostile input. They count what is then left over,
// lost or reachable.
//
//	make trust        all cases; writes the table of SECURITY.md
//	go test ./test/trust        a sample of the cases
//
// Each number is a row of the table:
//
//	what was done                │ times │ wrong means          │ wrong
//	system calls that fail       │  3000 │ left a state between │     0
//
// The programs run in a sandbox of their own. The tests need no privilege, but they need vnet as a program: that of
// VNET_BIN, or a Go that can build it.
package trust
