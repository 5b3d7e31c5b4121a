package live

import (
	"errors"
	"os"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
	"github.com/vnet-lab/vnet/topo/live/internal/hostfile"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A faultInjector counts the requests of a Kernel, and makes some fail. A request is a call of a
// function of execute.Calls; for rtnetlink, each message is one.
type faultInjector struct {
	mu       sync.Mutex
	requests int
	fault    func(n int) error
}

// injectFaults makes request n of a Kernel, from now on, fail with the error fault(n).
func injectFaults(k *Kernel, fault func(n int) error) *faultInjector {
	f := &faultInjector{fault: fault}
	k.calls = execute.Calls{
		Send: f.send,
		NewNetns: func(t nsfs.Thread) (ns *os.File, err error) {
			err = f.before(func() error { ns, err = execute.RealCalls.NewNetns(t); return err })
			return ns, err
		},
		RemoveNetns: func(name string) error { return f.before(func() error { return execute.RealCalls.RemoveNetns(name) }) },
		ApplyNAT: func(c *nft.Conn, table string, del, add []nft.Rule) error {
			return f.before(func() error { return execute.RealCalls.ApplyNAT(c, table, del, add) })
		},
		UpdateGuard: func(c *nft.Conn, update func(nft.Guard) nft.Guard) error {
			return f.before(func() error { return execute.RealCalls.UpdateGuard(c, update) })
		},
		SetSysctl: func(key, value string) error {
			return f.before(func() error { return execute.RealCalls.SetSysctl(key, value) })
		},
		SetChecksums: func(o *rtnl.Offload, link string, on bool) error {
			return f.before(func() error { return execute.RealCalls.SetChecksums(o, link, on) })
		},
		Files: hostfile.Calls{
			Write: func(path string, text []byte) error {
				return f.before(func() error { return execute.RealCalls.Files.Write(path, text) })
			},
			Overwrite: func(path string, text []byte) error {
				return f.before(func() error { return execute.RealCalls.Files.Overwrite(path, text) })
			},
			Remove: func(path string) error { return f.before(func() error { return execute.RealCalls.Files.Remove(path) }) },
		},
		Run: func(h *netns.Handle, cmd *exec.Cmd) error {
			return f.before(func() error { return execute.RealCalls.Run(h, cmd) })
		},
		Signal: func(fd int, sig unix.Signal, info *unix.Siginfo, flags int) error {
			return f.before(func() error { return execute.RealCalls.Signal(fd, sig, info, flags) })
		},
	}
	return f
}

// withoutFaults ends injectFaults.
func withoutFaults(k *Kernel) { k.calls = execute.RealCalls }

func (f *faultInjector) next() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	return f.fault(f.requests - 1)
}

// before calls the function unless the next request is to fail.
func (f *faultInjector) before(call func() error) error {
	if err := f.next(); err != nil {
		return err
	}
	return call()
}

// send sends the requests that do not fail, with the indexes of all in the errors.
func (f *faultInjector) send(c *rtnl.Conn, reqs ...rtnl.Request) error {
	var errs []error
	var sent []rtnl.Request
	var indexes []int
	for i, r := range reqs {
		if err := f.next(); err != nil {
			errs = append(errs, &rtnl.Error{Op: "injected", Index: i, Err: err})
			continue
		}
		sent, indexes = append(sent, r), append(indexes, i)
	}
	if len(sent) == 0 {
		return errors.Join(errs...)
	}
	for _, err := range joined(execute.RealCalls.Send(c, sent...)) {
		if e, ok := err.(*rtnl.Error); ok {
			e.Index = indexes[e.Index]
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// joined returns the errors that were joined.
func joined(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
