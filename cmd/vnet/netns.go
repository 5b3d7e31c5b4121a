package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
)

// netnsObject is vnet netns.
func netnsObject() object {
	return object{
		name: "netns", short: true, usage: "network namespaces", help: netnsHelp,
		verbs: words.NetnsVerbs(), run: (*session).netns,
	}
}

const netnsHelp = `
vnet netns [list]
vnet netns add NAME
vnet netns attach NAME PID
vnet netns set NAME { auto | NETNSID }
vnet [-all] netns delete [NAME]
vnet netns identify [PID]
vnet netns pids NAME
vnet [-all] netns exec [NAME] COMMAND ...
vnet netns monitor
vnet netns list-id [target-nsid NETNSID] [nsid NETNSID]

A name is that of a file in /run/netns; ip-netns(8) has the same. exec shows the
namespace's links in /sys, and puts /etc/netns/NAME/resolv.conf and what else is
there in the place of the files in /etc. It exits as the command does.

   vnet netns add red
   vnet netns exec red ping -c1 10.0.0.1
   vnet -n red link                     the same as: vnet netns exec red vnet link
`

// netns carries out vnet netns.
func (s *session) netns(args []string) error {
	w := words.Of(args)
	c := w.Netns(s.All)
	if w.Err != nil {
		return w.Err
	}
	switch c.Verb {
	case "list":
		return s.netnsList()
	case "list-id":
		return s.netnsListID(c)
	case "add":
		return nsfs.Add(c.Name)
	case "attach":
		return netnsAttach(c)
	case "set":
		return s.netnsSet(c)
	case "delete":
		return s.netnsDelete(c)
	case "identify":
		return s.netnsIdentify(c)
	case "pids":
		return s.netnsPids(c)
	case "exec":
		return s.netnsExec(c)
	case "monitor":
		return s.netnsMonitor()
	}
	return s.usage(netnsHelp)
}

// usage prints an object's grammar where ip(8) prints its own, and exits like it.
func (s *session) usage(help string) error {
	fmt.Fprint(s.err, strings.TrimPrefix(help, "\n"))
	return exit(exitUsage, errReported)
}

// noNetns names the namespace that is most like one that is not there.
func noNetns(name string, status int, err error) error {
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, _ := nsfs.List() // for a suggestion only
	var known []string
	for _, e := range entries {
		known = append(known, e.Name)
	}
	text := fmt.Sprintf("there is no network namespace %q", name)
	hint := words.Unknown("", name, known).Hint
	if hint == "" {
		hint = "vnet netns lists those there are; vnet netns add " + name + " makes it"
	}
	return &words.Error{Text: text, Hint: hint, Status: status}
}

func netnsAttach(c words.NetnsCommand) error {
	ns, err := nsfs.OpenPid(c.PID)
	if err != nil {
		return err
	}
	defer ns.Close()
	return nsfs.Attach(ns, c.Name)
}

// netnsDelete takes a name away, or all.
func (s *session) netnsDelete(c words.NetnsCommand) error {
	if !s.All {
		return noNetns(c.Name, exitFailed, nsfs.Remove(c.Name))
	}
	entries, err := nsfs.List()
	for _, e := range entries {
		if err == nil {
			err = nsfs.Remove(e.Name)
		}
	}
	return err
}

// netnsIdentify prints the last of a process's names, as ip(8) does, or an empty
// line.
func (s *session) netnsIdentify(c words.NetnsCommand) error {
	pid := c.PID
	if pid == 0 {
		pid = os.Getpid()
	}
	found, err := nsfs.Identify(pid)
	if err != nil {
		return err
	}
	name := ""
	if len(found) > 0 {
		name = found[len(found)-1]
	}
	fmt.Fprintln(s.out, name)
	return nil
}

func (s *session) netnsPids(c words.NetnsCommand) error {
	ns, err := nsfs.Open(c.Name)
	if err != nil {
		return noNetns(c.Name, exitFailed, err)
	}
	defer ns.Close()
	pids, err := nsfs.Pids(ns)
	for _, pid := range pids {
		fmt.Fprintln(s.out, pid)
	}
	return err
}

// netnsExec runs a program in a namespace, in the place of this one unless more
// is to be done.
func (s *session) netnsExec(c words.NetnsCommand) error {
	s.out.Flush()
	if s.All {
		return s.netnsExecAll(c.Argv)
	}
	if s.Batch == "" {
		return netnsExecError(c.Name, nsfs.Exec(c.Name, c.Argv, os.Environ()))
	}
	return netnsExecError(c.Name, s.runIn(c.Name, c.Argv))
}

// netnsExecAll runs a program in one namespace after another. How it exits does
// not matter, as with ip(8).
func (s *session) netnsExecAll(argv []string) error {
	entries, err := nsfs.List()
	if entries == nil && err == nil {
		return fmt.Errorf("there is no %s", nsfs.Dir)
	}
	for _, e := range entries {
		fmt.Fprintf(s.out, "\nnetns: %s\n", e.Name)
		s.out.Flush()
		if err := netnsExecError(e.Name, s.runIn(e.Name, argv)); err != nil {
			s.report(err)
		}
	}
	return err
}

func (s *session) runIn(name string, argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return nsfs.Run(name, cmd)
}

// netnsExecError gives what went wrong ip(8)'s exit status: that of the program
// if it ran, 1 if it could not be run, 255 if the namespace could not be entered.
func netnsExecError(name string, err error) error {
	var exited *exec.ExitError
	var notFound *exec.Error
	var failed *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exited):
		return exit(max(exited.ExitCode(), exitFailed), errReported)
	case errors.As(err, &notFound), errors.As(err, &failed) && failed.Op == "exec":
		return exit(exitFailed, err)
	}
	return exit(exitUsage, noNetns(name, exitUsage, err))
}

// netnsMonitor tells of names as they come and go, until it is killed.
func (s *session) netnsMonitor() error {
	w, err := nsfs.Watch()
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		e, err := w.Next()
		if err != nil {
			return err
		}
		if e.Lost {
			s.note("more names came and went than the kernel keeps: see vnet netns list")
			continue
		}
		what := "add"
		if e.Gone {
			what = "delete"
		}
		fmt.Fprintln(s.out, what, e.Name)
		s.out.Flush()
	}
}
