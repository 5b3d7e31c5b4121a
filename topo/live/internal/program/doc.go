// Package program finds the programs of a lab in /proc, and stops them.
//
// A [Program] is a command of the lab in a namespace. It has no file and no process ID anywhere: the environment of
// its processes names the lab and the command. Any user can start a process with such an environment, so it depends
// on the question which processes are the program's:
//
//   - [Finder.Find]: does the program run? Only a trusted process shows that it does: one of vnet's user and
//     namespaces, which was not started with more rights than its parent.
//   - [Finder.Stop]: what has to end with the program? Also processes that descend from a trusted one, and daemons
//     that changed their user.
package program
