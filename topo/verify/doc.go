// Package verify proves facts of a lab that is up, with real packets. It needs Linux.
//
//	lab.Facts ──▶ Verify ──┬─ probe      sockets in both hosts: ping, TCP, UDP, DNS
//	                       ├─ judge      compares the answer with the fact
//	                       └─ diagnose   follows a lost packet: links, routes, filters, traces
//	                                   ──▶ Report   text, JSON, JUnit, TAP
//
// It needs no program in the hosts: it opens sockets there itself. If no program listens on the port of a fact, it
// listens there itself.
//
// # What is not checked
//
// A fact holds only for the moment of the probe. A few probes cannot show rare packet loss.
package verify
