package live

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
)

// A machine with forwarding off may have single links with forwarding on, for networks of
// virtual machines and containers. Labs turn it on for all links. The last of them restores
// the former values.
func TestLinkForwardingIsRestored(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	labtest.IP(t, "link add p0 type veth peer name p1")
	t.Cleanup(func() { labtest.IP(t, "link del p0") })
	for name, value := range map[string]string{
		linux.ForwardingIPv4: "0", "net.ipv6.conf.all.forwarding": "0",
		"net.ipv6.conf.p0.forwarding": "1", "net.ipv4.conf.p1.forwarding": "1",
		"net.ipv6.conf.p0.force_forwarding": "1", "net.ipv4.conf.all.accept_redirects": "0",
	} {
		err := nsfs.SetSysctl(name, value)
		since617 := strings.HasSuffix(name, "force_forwarding")
		if err != nil && (!since617 || !errors.Is(err, fs.ErrNotExist)) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { nsfs.SetSysctl("net.ipv4.conf.all.accept_redirects", "1") })
	before := machineState(t)
	labText := func(name, four, six string) string {
		return "name: " + name + "\nnetworks: {" + name + ": {subnets: [" + four + ", \"" + six + "\"], nat: true}}\n" +
			"hosts: {" + name + "-h: {networks: [" + name + "]}}\n"
	}
	a, wantA := labtest.Compiled(t, labText("one", "10.1.0.0/24", "fd00:a::/64"))
	b, wantB := labtest.Compiled(t, labText("two", "10.2.0.0/24", "fd00:b::/64"))
	ka, kb := openKernel(t, a), openKernel(t, b)
	for _, step := range []struct {
		kernel *Kernel
		want   topo.State
	}{{ka, wantA}, {kb, wantB}, {ka, nil}, {ka, wantA}, {kb, nil}, {ka, nil}} {
		var err error
		if step.want == nil {
			_, err = step.kernel.Down(t.Context(), nil)
		} else {
			_, err = step.kernel.Up(t.Context(), step.want, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if all, err := nsfs.Sysctl(linux.ForwardingIPv6); step.want != nil && (err != nil || all != "1") {
			t.Errorf("forwarding is %q, %v", all, err)
		}
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// The same after a failed step.
func TestLinkForwardingIsRestoredAfterError(t *testing.T) {
	labtest.IP(t, "link add p0 type veth peer name p1")
	t.Cleanup(func() { labtest.IP(t, "link del p0") })
	if err := nsfs.SetSysctl("net.ipv4.conf.p1.forwarding", "1"); err != nil {
		t.Fatal(err)
	}
	before := machineState(t)
	k := openKernel(t, "half")
	want := topo.Sysctl{Name: linux.ForwardingIPv4, Value: "1"}
	for n := range 4 {
		injectFaults(k, func(i int) error {
			if i == n {
				return unix.ENOMEM
			}
			return nil
		})
		err := k.Do(t.Context(), []topo.Step{{Want: want}})
		withoutFaults(k)
		if err == nil {
			if err := k.Do(t.Context(), []topo.Step{{Have: want}}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("request %d, %v: -before +after:\n%s", n, err, diff)
		}
	}
}

// Several labs turn forwarding on at the same time. All record that it was off, and the last
// one, whichever that is, turns it off again.
func TestSysctlsOfLabsAtTheSameTime(t *testing.T) {
	before := machineState(t)
	const labs = 4
	var kernels [labs]*Kernel
	for i := range kernels {
		kernels[i] = openKernel(t, fmt.Sprint("lab", i))
	}
	all := func(step topo.Step) {
		t.Helper()
		var errs [labs]error
		parallel.Each(labs, labs, func(i int) { errs[i] = kernels[i].Do(t.Context(), []topo.Step{step}) })
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
	}
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		forwards := topo.Sysctl{Name: linux.ForwardingIPv4, Value: "1"}
		all(topo.Step{Want: forwards})
		all(topo.Step{Have: forwards})
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Fatalf("the machine is not as before (-before +after):\n%s", diff)
		}
	}
}
