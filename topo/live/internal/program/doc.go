// Package program finds the programs of a lab in /proc, and stops them.
//
// A [Program] is a command of the lab in a namespace. vnet does not save its process ID anywhere. The environment of
// its processes names the lab and the command. But any user can start a process with such an environment, so there
// are two questions with different answers:
//
//   - [Finder.Find]: does the program run? Only a trusted process shows that it does: one of vnet's user and
//     namespaces, which was not started with more rights than its parent.
//   - [Finder.Stop]: what has to end with the program? Also processes that descend from a trusted one, and daemons
//     that changed their user.
package program
