// Package execute executes the stages of a plan in the kernel.
//
//	stage ──▶ Executor ──┬─ namespaces                              nsfs, several threads
//	                     ├─ links, addresses, routes …              requests ─▶ tasks ─▶ one sendmsg per namespace
//	                     ├─ NAT rules                               one transaction per namespace
//	                     ├─ sysctls                                 package setting
//	                     └─ files and programs                      packages hostfile and program
//
// [Executor.Do] executes a stage completely or not at all: if a step fails, it undoes the steps that succeeded. All
// changes go through [Calls], so that a test can count them and make each of them fail.
package execute
