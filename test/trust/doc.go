// Package trust counts what vnet promises to the machine that it runs on. Its tests make failures on purpose: system
// calls that fail, processes that are killed, many commands at once, hostile input. They count what is then left, lost
// or open.
//
//	make trust        all cases; writes the table of SECURITY.md
//	go test ./test/trust        a sample of the cases
//
// Each number is a row of the table:
//
//	what was done                     │ times │ found │ must be
//	system calls failed               │  3000 │     0 │ 0
package trust
