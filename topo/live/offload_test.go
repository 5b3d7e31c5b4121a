package live

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

const offloadLab = `
name: raw
networks: {sw: {subnets: [10.0.6.0/24, "fd00:6::/64"]}}
hosts:
  red: {networks: {sw: {offload: off}}}
  blue: {networks: [sw]}
links: [{endpoints: [red:eth1, blue:eth1], addresses: [10.0.7.1/30, 10.0.7.2/30], offload: off}]
`

// With `offload: off` the veth ends compute the checksums themselves, so a program that
// reads raw packets sees correct ones. By default they are not correct, as the test checks.
func TestOffloadOff(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, offloadLab)
	if err := missingFeatures(topo.Diff(nil, want)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	k := openKernel(t, lab)
	before := machineState(t)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for link, right := range map[string]bool{"eth0": true, "eth1": true} {
		if got := hasRightChecksum(t, link); got != right {
			t.Errorf("over %s: correct checksum: %v", link, got)
		}
	}
	if again, err := k.Up(t.Context(), want, nil); err != nil || len(again) > 0 {
		t.Errorf("the second up has steps: %v\n%s", err, again)
	}
	h, err := k.table.Handle("red")
	if err != nil {
		t.Fatal(err)
	}
	o, err := h.DialOffload()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.SetChecksums("eth1", true); err != nil {
		t.Fatal(err)
	}
	if hasRightChecksum(t, "eth1") {
		t.Error("the checksum is correct with offload on")
	}
	if drift, err := k.Plan(want); err != nil || len(drift) != 1 || drift[0].String() != "+ red: offload dev eth1 off" {
		t.Errorf("the drift is %v, %s", err, drift)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error(err)
	}
	if on, err := o.Checksums("eth1"); on || err != nil {
		t.Errorf("up did not set it again: %v, %v", on, err)
	}
	_, want = labtest.Compiled(t, `
name: raw
networks: {sw: {subnets: [10.0.6.0/24, "fd00:6::/64"]}}
hosts: {red: {networks: [sw]}, blue: {networks: [sw]}}
links: [{endpoints: [red:eth1, blue:eth1], addresses: [10.0.7.1/30, 10.0.7.2/30]}]
`)
	if plan, err := k.Up(t.Context(), want, nil); err != nil || len(plan) != 4 {
		t.Errorf("the plan without `offload: off`: %v\n%s", err, plan)
	}
	if on, err := o.Checksums("eth1"); !on || err != nil {
		t.Errorf("offload is still off: %v, %v", on, err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// A failed step leaves nothing.
func TestOffloadRefused(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, offloadLab)
	if err := missingFeatures(topo.Diff(nil, want)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	k := openKernel(t, lab)
	refused := 0
	_, err := k.Up(t.Context(), want, func(_ topo.Plan, do topo.Do) topo.Do {
		return doRefusing(k, do, topo.OfOffload, &refused)
	})
	var step *topo.StepError
	if !errors.As(err, &step) || step.Step.Object().Key().Kind != topo.OfOffload ||
		!errors.Is(err, unix.ENOSPC) || refused != 1 {
		t.Errorf("%v", err)
	}
	if left, err := k.Snapshot(nil); err != nil || len(left) > 0 {
		t.Errorf("left: %v\n%s", err, left)
	}
}

// hasRightChecksum sends a datagram from red to blue over a link, and checks the one that a
// raw socket receives.
func hasRightChecksum(t *testing.T, link string) (right bool) {
	t.Helper()
	to := map[string]string{"eth0": "10.0.6.3", "eth1": "10.0.7.2"}[link]
	fd := -1
	err := doIn("blue", func() (err error) {
		ipv4 := int(binary.NativeEndian.Uint16([]byte{8, 0}))
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, ipv4)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(int64(soon))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	err = doIn("red", func() error {
		c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(to), Port: 4242})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("what is the sum of this?"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1500)
	for until := time.Now().Add(soon); time.Now().Before(until); {
		n, _, err := unix.Recvfrom(fd, packet, 0)
		if err != nil {
			t.Fatal(err)
		}
		if p := packet[:n]; n > 28 && p[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(p[22:]) == 4242 {
			return sumOf(append(append([]byte{}, p[12:20]...), 0, unix.IPPROTO_UDP, p[24], p[25]), p[20:]) == 0xffff
		}
	}
	t.Fatal("no packet arrived")
	return false
}

// sumOf returns the Internet checksum (RFC 1071) over a pseudo header and a body.
func sumOf(header, body []byte) uint16 {
	sum := uint32(0)
	all := slices.Concat(header, body)
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	for i := 0; i < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// doRefusing makes the second request of a stage of a kind fail.
func doRefusing(k *Kernel, do topo.Do, kind topo.Kind, refused *int) topo.Do {
	return func(ctx context.Context, stage []topo.Step) error {
		if stage[0].Object().Key().Kind != kind || stage[0].Op() != topo.Create {
			return do(ctx, stage)
		}
		n := 0
		injectFaults(k, func(int) error {
			if n++; n == 2 {
				*refused++
				return unix.ENOSPC
			}
			return nil
		})
		defer withoutFaults(k)
		return do(ctx, stage)
	}
}

// The script does the same with ethtool(8), and adds vnet's record.
func TestOffloadCommands(t *testing.T) {
	_, want := labtest.Compiled(t, offloadLab)
	script, err := topo.Diff(nil, want).Commands("raw", nil, NATScript())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"ip netns exec red ethtool -K eth1 tx off\n", "ethtool -K red-eth0 tx off\n",
		"ip -n red link property add dev eth1 altname vnet:raw:offload=eth1\n",
	} {
		if !strings.Contains(script, line) {
			t.Errorf("%q is not in\n%s", line, script)
		}
	}
}
