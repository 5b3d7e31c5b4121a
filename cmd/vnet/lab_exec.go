package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

func execObject() object {
	return object{name: "exec", usage: "run a command in a host of a lab", run: (*session).exec, help: `
vnet exec [LAB/]HOST [--] COMMAND ...

Runs a command in a host: with its network, its names in /etc/hosts, its servers in
/etc/resolv.conf. It exits as the command does. LAB is needed where several labs have
a host of that name; the host machine is the machine itself.

   vnet exec red ping -c1 blue
   vnet exec red-blue/red ip addr
`}
}

func shellObject() object {
	return object{name: "shell", usage: "open a shell in a host of a lab", run: (*session).shell, help: `
vnet shell [LAB/]HOST

Opens $SHELL, or sh, in a host, as vnet exec does.
`}
}

// exec carries out vnet exec.
func (s *session) exec(args []string) error {
	if len(args) == 1 && asksForHelp(args) {
		return s.objectHelp(execObject())
	}
	if len(args) < 1 || len(withoutDashes(args[1:])) == 0 {
		return words.Errorf("exec needs a host and a command")
	}
	return s.execIn(args[0], withoutDashes(args[1:]))
}

// withoutDashes are the words of a command, before which -- may stand, as elsewhere.
func withoutDashes(argv []string) []string {
	if len(argv) > 0 && argv[0] == "--" {
		return argv[1:]
	}
	return argv
}

// shell carries out vnet shell.
func (s *session) shell(args []string) error {
	if asksForHelp(args) {
		return s.objectHelp(shellObject())
	}
	if len(args) != 1 {
		return words.Errorf("shell needs a host")
	}
	return s.execIn(args[0], []string{shell()})
}

// execIn becomes a program in a host. A lab's own host has its name as a namespace;
// others are found by the marks that their labs left in them.
func (s *session) execIn(where string, argv []string) error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	lab, host, named := strings.Cut(where, "/")
	if !named {
		lab, host = "", where
	}
	if host == topo.Machine {
		return execHere(argv)
	}
	if !named {
		err := nsfs.Exec(host, argv, os.Environ())
		if !errors.Is(err, fs.ErrNotExist) || hasNetns(host) {
			return err
		}
	}
	ns, name, err := topo.FindHost(lab, host)
	if err != nil {
		return unknownHost(err)
	}
	defer ns.Close()
	if name != "" {
		return nsfs.Exec(name, argv, os.Environ())
	}
	return nsfs.Do(ns, func() error { return execHere(argv) })
}

// hasNetns tells whether it is the program that there is not.
func hasNetns(name string) bool {
	ns, err := nsfs.Open(name)
	if err == nil {
		ns.Close()
	}
	return err == nil
}

// execHere becomes a program where the thread is.
func execHere(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return &fs.PathError{Op: "exec", Path: path, Err: unix.Exec(path, argv, os.Environ())}
}

// unknownHost says what may have been meant.
func unknownHost(err error) error {
	var e *topo.HostError
	if !errors.As(err, &e) {
		return err
	}
	said := &words.Error{Text: e.Error(), Status: exitFailed, Hint: words.Unknown("", e.Host, e.Known).Hint}
	switch {
	case len(e.Labs) > 0:
		said.Hint = fmt.Sprintf("say which: vnet exec %s/%s", e.Labs[0], e.Host)
	case said.Hint != "":
	case len(e.Known) > 0 && len(e.Known) <= 20:
		said.Hint = "there are " + strings.Join(e.Known, ", ")
	case len(e.Known) == 0:
		said.Hint = "vnet ls lists the labs that are up"
	}
	return said
}
