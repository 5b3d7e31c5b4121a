package main

import (
	"os"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

func sandboxObject() object {
	return object{name: "sandbox", usage: "run a command in a network of its own, without root", run: (*session).sandbox, help: `
vnet sandbox [--] [COMMAND ...]

Runs a command, or $SHELL, as root over a network and an empty /run of its own, in
which there is only lo. What it does there to links, routes and nftables reaches
nobody else, and is gone when it ends. It needs no root where the machine lets users
make namespaces: see user_namespaces(7). It exits as the command does.

   vnet sandbox
   vnet sandbox sh -c 'vnet up lab.yaml && vnet verify lab.yaml'
`}
}

// sandbox carries out vnet sandbox.
func (s *session) sandbox(args []string) error {
	if len(args) == 1 && asksForHelp(args) { // else it is the command's own
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

// shell is the user's.
func shell() string {
	if path := os.Getenv("SHELL"); path != "" {
		return path
	}
	return "sh"
}
