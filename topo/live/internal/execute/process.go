package execute

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
)

// processStep starts a program.
func (x *Executor) processStep(step topo.Step) (r result) {
	h, err := x.Table.Handle(step.Object().Key().NS)
	if err != nil {
		return result{err: err}
	}
	r.err = x.startProcess(h, step.Want.(topo.Process))
	r.touched = r.err == nil
	return r
}

// startProcess runs a shell command in the namespace, in a session of its own. Its
// environment names the lab; the processes that it starts inherit this.
func (x *Executor) startProcess(h *netns.Handle, p topo.Process) error {
	cmd := exec.Command("sh", "-c", "{ "+mark.RunShell+"; } &")
	cmd.Env = append(os.Environ(), mark.EnvLab+"="+x.Table.Lab, mark.EnvRun+"="+p.Command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return x.Calls.Run(h, cmd)
}

// run runs a command in a namespace and waits until it exits.
func run(h *netns.Handle, cmd *exec.Cmd) error {
	switch {
	case h.Name == "":
		return cmd.Run()
	case h.Ref != "": // also mounts the lab's files over /etc
		return nsfs.Run(h.Ref, cmd)
	}
	return h.RunInside(cmd.Run)
}

// stopStage stops programs and the processes that they started: first it sends SIGTERM to
// all of them, and after a while SIGKILL to those that still run.
func (x *Executor) stopStage(stage []topo.Step, results []result) {
	stopping := topo.NewState()
	for _, s := range stage {
		stopping.Put(s.Have)
	}
	running, err := nsfs.Processes()
	err = errors.Join(err, x.Programs.Find(stopping, running))
	steps := map[program.Program]int{}
	for i, s := range stage {
		h, handleErr := x.Table.Handle(s.Have.Key().NS)
		if results[i].err = errors.Join(err, handleErr); results[i].err == nil {
			steps[program.Program{Command: s.Have.(topo.Process).Command, NS: h.ID}] = i
		}
	}
	failed, err := x.Programs.Stop(func(p program.Program) bool { _, is := steps[p]; return is }, x.Calls.Signal)
	for p, i := range steps {
		results[i].err = errors.Join(err, failed[p])
		results[i].touched = results[i].err == nil
	}
}
