package live

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A Kernel reads and changes the objects of a lab in the kernel. It keeps a netlink
// socket open in each namespace of the lab.
//
//	machine's socket ─▶ bridges, near ends of veth pairs (the kernel creates far
//	                    ends directly in their namespaces, with their names)
//	red's socket     ─▶ up, addresses, routes: one sendmsg per stage
//
// It writes the lab's mark on each object it creates, in the same system call if
// possible. So [Kernel.Snapshot] finds the object again, even if the process was killed.
type Kernel struct {
	*reader
	log      *slog.Logger
	waveSize int // highest number of namespaces in a wave; 0 means the default of package topo
	calls    execute.Calls
}

// OpenKernel locks a lab on the machine, which is the namespace of the process. Only
// one process at a time can hold the lock; another one waits until ctx ends. log may be
// nil. It gets each stage as a debug message, and a warning when OpenKernel waits for the
// lock or when conntrack entries of deleted NAT rules remain.
func OpenKernel(ctx context.Context, lab string, log *slog.Logger) (*Kernel, error) {
	if !naming.IsLab(lab) {
		return nil, fmt.Errorf("%q is not a valid lab name", lab)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	lock, err := netns.LockLab(ctx, lab, log)
	if err != nil {
		return nil, err
	}
	table := netns.NewTable(lab, lock)
	k := &Kernel{reader: newReader(table), log: log, calls: execute.RealCalls}
	if _, err := table.OpenMachine(); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close releases the lab's lock and closes all sockets.
func (k *Kernel) Close() error { return k.table.Close() }

// executor returns the executor of a plan that changes have into want.
func (k *Kernel) executor(plan topo.Plan, have, want topo.State) *execute.Executor {
	c := k.config(sync.OnceValue(func() map[topo.Key]topo.IPv6Mode { return plan.IPv6Modes(have, want) }))
	if len(have) == 0 {
		c.NSIDs = execute.DescendingNSIDs(k.table, plan, k.waveSize)
	}
	return execute.New(c)
}

func (k *Kernel) config(modes func() map[topo.Key]topo.IPv6Mode) execute.Config {
	return execute.Config{
		Table: k.table, Log: k.log, Calls: &k.calls, Files: k.files, Programs: k.programs, IPv6Modes: modes,
	}
}

// Do executes a stage completely; if a step fails, it undoes the others and returns an
// error. It implements [topo.Do]. A request cannot be cancelled, so Do checks ctx only at its start.
//
// The IPv6 mode of a link depends on all objects that the lab has on it, not only on those of the stage. Do takes it
// from the wanted state of the last [Kernel.Snapshot] or [Kernel.Plan], and reads a snapshot if there
// was none. So topo.Apply of a plan from [Kernel.Plan] does the same as [Kernel.Up], but checks nothing.
func (k *Kernel) Do(ctx context.Context, stage []topo.Step) error {
	if k.have == nil {
		if _, err := k.Snapshot(nil); err != nil {
			return err
		}
	}
	plan, have, want := topo.Plan(stage), k.have, k.want
	modes := func() map[topo.Key]topo.IPv6Mode {
		all := plan.IPv6Modes(have, plan.Applied(have)) // the links of the stage may not be in want
		maps.Copy(all, plan.IPv6Modes(nil, want))
		return all
	}
	return execute.New(k.config(modes)).Do(ctx, stage)
}
