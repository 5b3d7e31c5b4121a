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
	"github.com/vnet-lab/vnet/topo/live"
)

func execObject() *object {
	return &object{name: "exec", usage: "run a command in a host of a lab", run: (*session).exec, help: `
vnet exec [LAB/]HOST [--] COMMAND ...

Runs a command in a host, with the host's network, /etc/hosts and /etc/resolv.conf. It
exits with the command's exit code. LAB is needed if several labs have a host of that
name. The host named machine is the machine itself.

   vnet exec red ping -c1 blue
   vnet exec red-blue/red ip addr
`}
}

func shellObject() *object {
	return &object{name: "shell", usage: "open a shell in a host of a lab", run: (*session).shell, help: `
vnet shell [LAB/]HOST

Opens $SHELL, or sh, in a host. It is the same as vnet exec HOST $SHELL.
`}
}

// exec runs vnet exec.
func (s *session) exec(args []string) error {
	if len(args) == 1 && asksForHelp(args) {
		return s.objectHelp(execObject())
	}
	if len(args) < 1 || len(withoutDashes(args[1:])) == 0 {
		return words.Errorf("exec needs a host and a command")
	}
	return s.execIn(args[0], withoutDashes(args[1:]))
}

// withoutDashes removes an optional -- before a command.
func withoutDashes(argv []string) []string {
	if len(argv) > 0 && argv[0] == "--" {
		return argv[1:]
	}
	return argv
}

// shell runs vnet shell.
func (s *session) shell(args []string) error {
	if asksForHelp(args) {
		return s.objectHelp(shellObject())
	}
	if len(args) != 1 {
		return words.Errorf("shell needs a host")
	}
	return s.execIn(args[0], []string{shell()})
}

// execIn replaces this process with a program in a host. A host is usually a namespace of the same name. Others,
// such as adopted namespaces, are found by their labs' marks.
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
	ns, name, err := live.FindHost(lab, host)
	if err != nil {
		return unknownHost(err)
	}
	defer ns.Close()
	if name != "" {
		return nsfs.Exec(name, argv, os.Environ())
	}
	return nsfs.Do(ns, func() error { return execHere(argv) })
}

// hasNetns reports whether a namespace exists. If it does, ErrNotExist is about the program.
func hasNetns(name string) bool {
	ns, err := nsfs.Open(name)
	if err == nil {
		ns.Close()
	}
	return err == nil
}

// execHere replaces this process with a program in the current namespace.
func execHere(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return &fs.PathError{Op: "exec", Path: path, Err: unix.Exec(path, argv, os.Environ())}
}

// unknownHost adds a hint to a host error: which labs have the host, or which hosts exist.
func unknownHost(err error) error {
	var e *live.HostError
	if !errors.As(err, &e) {
		return err
	}
	wordErr := &words.Error{Text: e.Error(), Status: exitFailed, Hint: words.Unknown("", e.Host, e.Known).Hint}
	switch {
	case len(e.Labs) > 0:
		wordErr.Hint = fmt.Sprintf("name the lab: vnet exec %s/%s", e.Labs[0], e.Host)
	case wordErr.Hint != "":
	case len(e.Known) > 0 && len(e.Known) <= 20:
		wordErr.Hint = "the hosts are " + strings.Join(e.Known, ", ")
	case len(e.Known) == 0:
		wordErr.Hint = "vnet ls lists the labs that are up"
	}
	return wordErr
}
