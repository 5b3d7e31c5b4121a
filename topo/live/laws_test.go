package live

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
)

// After a request fails, the machine is as before, and the error names the step and the
// reason.
func TestLaw4_LiveFailedRequestIsUndone(t *testing.T) {
	errnos := []unix.Errno{unix.EPERM, unix.EEXIST, unix.ENOBUFS, unix.EBUSY, unix.EOPNOTSUPP}
	failed := 0
	eachSupportedExample(t, func(t *testing.T, name string) {
		lab, want := example(t, name)
		up, _ := countRequests(t, name)
		k := openKernel(t, lab)
		before := machineState(t)
		for _, n := range pickRequests(name, up) {
			errno := errnos[n%len(errnos)]
			injectFaults(k, func(i int) error {
				if i == n {
					return errno
				}
				return nil
			})
			_, err := k.Up(t.Context(), want, nil)
			withoutFaults(k)
			checkUndone(t, n, err, errno)
			if left, err := k.Snapshot(nil); err != nil || len(left) != 0 {
				t.Fatalf("request %d (%v): left: %v\n%s", n, errno, err, left)
			}
			if diff := cmp.Diff(before, machineState(t)); diff != "" {
				t.Fatalf("request %d (%v): the machine is not as before (-before +after):\n%s", n, errno, diff)
			}
			failed++
		}
	})
	t.Logf("%d requests failed", failed)
}

// After the kernel's answer was lost, the machine is as before, although the kernel did what it was asked for.
func TestLaw4_LiveLostAnswer(t *testing.T) {
	topology, want := example(t, "cheatsheet.yaml")
	k := openKernel(t, topology)
	before := machineState(t)
	lost := int64(0)
	for {
		var sent atomic.Int64
		k.calls.Send = func(c *rtnl.Conn, reqs ...rtnl.Request) error {
			err := execute.RealCalls.Send(c, reqs...)
			if sent.Add(1)-1 == lost && err == nil {
				return os.NewSyscallError("recvmmsg", unix.ENOBUFS)
			}
			return err
		}
		_, err := k.Up(t.Context(), want, nil)
		withoutFaults(k)
		if err == nil {
			break // all have been lost once
		}
		checkUndone(t, int(lost), err, unix.ENOBUFS)
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Fatalf("answer %d: the machine is not as before (-before +after):\n%s", lost, diff)
		}
		lost++
	}
	if lost < 5 {
		t.Errorf("only %d answers were lost", lost)
	}
	t.Logf("%d answers were lost", lost)
}

// checkUndone checks that an error names the step and the reason, and that Up undid
// everything.
func checkUndone(t *testing.T, n int, err error, errno unix.Errno) {
	t.Helper()
	var ae *topo.ApplyError
	var se *topo.StepError
	if !errors.As(err, &ae) || ae.Undo != nil || !errors.As(err, &se) || !errors.Is(err, errno) {
		t.Fatalf("request %d: %v", n, err)
	}
}

// The script of a plan, run by a shell with the real tools, does the same as Apply. The
// script of Down leaves nothing.
func TestLaw7_CommandsMakeTheSame(t *testing.T) {
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here", tool)
		}
	}
	privateEtc(t)
	eachExample(t, func(t *testing.T, k *Kernel, want topo.State) {
		if len(want) > 5000 {
			t.Skip("thousands of processes")
		}
		k.table.Etc = "/etc/netns" // where ip expects it
		before := machineState(t)
		up, err := topo.Diff(nil, want).Commands(k.table.Lab, nil, NATScript())
		if err != nil {
			t.Fatal(err)
		}
		if why := rangesRefused(up); why != "" {
			t.Skipf("this nft cannot write a map of ranges on this kernel: %s", why)
		}
		shell(t, up)
		have, err := k.Snapshot(want)
		if err != nil {
			t.Fatal(err)
		}
		if !have.Equal(want) {
			t.Errorf("-want +got:\n%s\n%s", cmp.Diff(want.String(), have.String()), up)
		}
		checkIPv6Settings(t, want)
		down, err := topo.Diff(have, nil).Commands(k.table.Lab, have, NATScript())
		if err != nil {
			t.Fatal(err)
		}
		shell(t, down)
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s\n%s", diff, down)
		}
	})
}

// rangesRefused returns the reason why nft cannot write the interval maps of a script; "" if
// it can or there are none. nft 1.0.6 byte-swaps the one-byte protocol in a lookup in an
// interval map; Linux 6.12.117 refuses that.
func rangesRefused(script string) string {
	if !strings.Contains(script, "_range") {
		return ""
	}
	cmd := exec.Command("nft", "--check", "--file", "-")
	cmd.Stdin = strings.NewReader(`table inet ranges {
	map m {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr
		flags interval
	}
	chain c {
		type nat hook prerouting priority dstnat
		meta l4proto tcp dnat ip to ip daddr . meta l4proto . th dport map @m
	}
}`)
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), "Operation not supported") {
		return ""
	}
	return string(out)
}

// The script of Down gives an adopted namespace without a name a temporary one.
func TestCommandsForUnnamedNamespace(t *testing.T) {
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here", tool)
		}
	}
	privateEtc(t)
	box, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	program := exec.Command("sleep", "1000")
	if err := nsfs.Do(box, program.Start); err != nil {
		t.Fatal(err)
	}
	defer func() { program.Process.Kill(); program.Wait() }()
	for _, from := range []string{"%d", "/proc/%d/ns/net"} {
		t.Run(from, func(t *testing.T) {
			lab, want := labtest.Compiled(t, "name: nameless\nnetworks: {lan: {subnets: 10.0.6.0/24}}\n"+
				"hosts: {box: {networks: [lan], namespace: '"+
				fmt.Sprintf(from, program.Process.Pid)+"', sysctls: {net.ipv4.conf.all.rp_filter: 2}, run: sleep 999}}")
			k := openKernel(t, lab)
			before := machineState(t)
			if _, err := k.Up(t.Context(), want, nil); err != nil {
				t.Fatal(err)
			}
			down, err := topo.Diff(want, nil).Commands(k.table.Lab, want, NATScript())
			if err != nil {
				t.Fatal(err)
			}
			shell(t, down)
			if left, err := k.Snapshot(nil); err != nil || len(left) > 0 {
				t.Errorf("left: %v\n%s", err, left)
			}
			if diff := cmp.Diff(before, machineState(t)); diff != "" {
				t.Errorf("the machine is not as before (-before +after):\n%s\n%s", diff, down)
			}
		})
	}
}

// privateEtc mounts an empty /etc for this test, because ip creates directories there.
func privateEtc(t *testing.T) {
	t.Helper()
	if err := unix.Mount("tmpfs", "/etc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount("/etc", unix.MNT_DETACH) })
}

func shell(t *testing.T, script string) {
	t.Helper()
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, script)
	}
}
