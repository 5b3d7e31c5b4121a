package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
)

// netnsObject is vnet netns.
func netnsObject() *object {
	return &object{
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

A name is a file in /run/netns, as with ip-netns(8). For exec, /sys shows the
namespace's links, and the files in /etc/netns/NAME replace the files in /etc. exec
exits with the command's exit code.

   vnet netns add red
   vnet netns exec red ping -c1 10.0.0.1
   vnet -n red link                     the same as: vnet netns exec red vnet link
`

// netns runs vnet netns.
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

// usage prints an object's syntax to standard error and exits with 255, as ip(8) does.
func (s *session) usage(help string) error {
	fmt.Fprint(s.err, strings.TrimPrefix(help, "\n"))
	return exit(exitUsage, errReported)
}

// noNetns adds a hint to the error for a namespace that does not exist: the most similar name.
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
		hint = "vnet netns lists the namespaces; vnet netns add " + name + " adds it"
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

// netnsDelete removes a name, or with -all every name.
func (s *session) netnsDelete(c words.NetnsCommand) error {
	if !s.All {
		return noNetns(c.Name, exitFailed, nsfs.Remove(c.Name))
	}
	entries, err := nsfs.List()
	for _, e := range entries {
		err = errors.Join(err, nsfs.Remove(e.Name)) // if one cannot be removed, the others are
	}
	return err
}

// netnsIdentify prints the name of a process's namespace, the last if there are several, as ip(8) does. Without a
// name it prints an empty line.
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
	fmt.Fprintln(s.out, show.Name(name))
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

// netnsExec runs a program in a namespace. It replaces this process, unless commands of a batch can follow.
func (s *session) netnsExec(c words.NetnsCommand) error {
	s.out.Flush()
	if s.All {
		return s.netnsExecAll(c.Argv)
	}
	if s.Batch == "" {
		return netnsExecError(c.Name, nsfs.Exec(c.Name, c.Argv, os.Environ()))
	}
	return exit(exitFailed, netnsExecError(c.Name, s.runIn(c.Name, c.Argv)))
}

// netnsExecAll runs a program in one namespace after another. As with ip(8), the programs' exit codes are ignored.
func (s *session) netnsExecAll(argv []string) error {
	entries, err := nsfs.List()
	if entries == nil && err == nil {
		return fmt.Errorf("there is no %s", nsfs.Dir)
	}
	for _, e := range entries {
		fmt.Fprintf(s.out, "\nnetns: %s\n", show.Name(e.Name))
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

// netnsExecError sets ip(8)'s exit code: the program's own if it ran, 1 if it could not be run, 255 if the namespace
// could not be entered.
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

// netnsMonitor prints names that are added and deleted, until it is killed.
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
			s.note("the kernel dropped events; vnet netns list shows the current names")
			continue
		}
		what := "add"
		if e.Removed {
			what = "delete"
		}
		fmt.Fprintln(s.out, what, show.Name(e.Name))
		s.out.Flush()
	}
}
