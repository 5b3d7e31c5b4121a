package live

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/vnet-lab/vnet/internal/naming"
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
	calls    kernelCalls
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
	lock, err := lockLab(ctx, lab, log)
	if err != nil {
		return nil, err
	}
	table := newHandleTable(lab)
	table.lock = lock
	k := &Kernel{reader: newReader(table), log: log, calls: realCalls}
	if err := table.openMachine(); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close releases the lab's lock and closes all sockets.
func (k *Kernel) Close() error { return k.closeAll() }
