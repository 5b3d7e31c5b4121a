package main

import (
	"os"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

func sandboxObject() *object {
	return &object{name: "sandbox", usage: "run a command in an isolated network, without root", run: (*session).sandbox,
		help: `
vnet sandbox [--] [COMMAND ...]

Runs a command, or $SHELL, as root in new network and mount namespaces, and for a user
other than root in a new user namespace. The network has only lo, and /run is empty.
Changes to links, routes and nftables affect nothing outside and are lost when the
command ends. It needs no root if the system allows unprivileged user namespaces: see
user_namespaces(7). It exits with the command's exit code.

   vnet sandbox
   vnet sandbox sh -c 'vnet up lab.yaml && vnet verify lab.yaml'
`}
}

// sandbox runs vnet sandbox.
func (s *session) sandbox(args []string) error {
	if len(args) == 1 && asksForHelp(args) { // otherwise the help option belongs to the command
		return s.objectHelp(sandboxObject())
	}
	if args = withoutDashes(args); len(args) == 0 {
		args = []string{shell()}
	}
	return exitWith(nsfs.Sandbox(func() int {
		up := rtnl.LinkConfig{}
		up.SetUp(true)
		err := s.do(rtnl.SetLink(rtnl.LinkID{Name: "lo"}, up))
		if err == nil {
			err = execHere(args)
		}
		s.report(err)
		return exitCode(err)
	}))
}

// shell returns the user's shell.
func shell() string {
	if path := os.Getenv("SHELL"); path != "" {
		return path
	}
	return "sh"
}
