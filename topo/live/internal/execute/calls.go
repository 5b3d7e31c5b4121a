package execute

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/hostfile"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
)

// Calls are the functions with which an executor changes the kernel. A test may replace them.
type Calls struct {
	Send         func(*rtnl.Conn, ...rtnl.Request) error
	ApplyNAT     func(c *nft.Conn, table string, del, add []nft.Rule) error
	UpdateGuard  func(c *nft.Conn, update func(nft.Guard) nft.Guard) error
	NewNetns     func(nsfs.Thread) (*os.File, error)
	RemoveNetns  func(name string) error
	SetSysctl    func(key, value string) error
	SetChecksums func(o *rtnl.Offload, link string, on bool) error
	Files        hostfile.Calls
	Run          func(*netns.Handle, *exec.Cmd) error
	Signal       program.SendSignal
}

// RealCalls change the kernel.
var RealCalls = Calls{
	Send: (*rtnl.Conn).Do, ApplyNAT: (*nft.Conn).Apply, UpdateGuard: (*nft.Conn).UpdateGuard,
	NewNetns: nsfs.Thread.New, RemoveNetns: nsfs.Remove,
	SetSysctl: nsfs.SetSysctl, SetChecksums: (*rtnl.Offload).SetChecksums,
	Files: hostfile.RealCalls,
	Run:   run, Signal: unix.PidfdSendSignal,
}

// SendTo sends requests to a namespace and returns the errors by the requests' indexes.
func (c *Calls) SendTo(h *netns.Handle, reqs []rtnl.Request) map[int]error {
	failed := map[int]error{}
	if len(reqs) == 0 {
		return failed
	}
	for _, err := range splitErrors(c.Send(h.Conn, reqs...)) {
		var e *rtnl.Error
		var refused unix.Errno
		if errors.As(err, &e) && errors.As(e.Err, &refused) {
			failed[e.Index] = err
			continue
		}
		for i := range reqs { // nothing was sent, or the socket failed and the result is unknown
			failed[i] = err
		}
	}
	return failed
}

// splitErrors returns the errors that were joined.
func splitErrors(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
