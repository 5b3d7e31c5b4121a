// Command sandbox runs a program in 32 namespaces at once. They reach the outside by NAT, but not each other.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/live/member"
)

var network = member.Network{Name: "boxes", Bridge: "boxes", DefaultRoute: true, Masquerade: true, Isolate: true,
	Subnets: []member.Subnet{{Prefix: netip.MustParsePrefix("10.88.0.0/24")}}}

func main() { os.Exit(nsfs.Sandbox(func() int { return run(os.Args[1], os.Args[2:]...) })) }
func run(program string, args ...string) int {
	errs, all := make([]error, 32), sync.WaitGroup{}
	for i := range errs {
		all.Go(func() { errs[i] = box(context.Background(), fmt.Sprint("box", i), exec.Command(program, args...)) })
	}
	all.Wait()
	err := errors.Join(append(errs, member.Remove(context.Background(), network.Name))...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func box(ctx context.Context, id string, cmd *exec.Cmd) error {
	ns, err := nsfs.New()
	if err != nil {
		return err
	}
	m := member.Member{ID: id, Link: "eth0", NS: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())}
	if _, err = member.Attach(ctx, network, m); err == nil {
		err = nsfs.Do(ns, cmd.Run)
	}
	return errors.Join(err, member.Detach(ctx, network.Name, member.ID{Container: id, Link: m.Link}), ns.Close())
}
