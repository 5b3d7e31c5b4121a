package live

import (
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

const optionsLab = `
name: options
networks:
  sw: {OPTIONS}
hosts: {red: {networks: [sw]}, blue: {networks: [sw]}}
`

func compileOptions(t *testing.T, options string) (string, topo.State) {
	return labtest.Compiled(t, strings.Replace(optionsLab, "OPTIONS", options, 1))
}

// The bridge forwards LLDP if the file says so, and not otherwise, on the same lab.
func TestGroupForwardMask(t *testing.T) {
	lab, without := compileOptions(t, "")
	_, with := compileOptions(t, "group_fwd_mask: lldp")
	k := openKernel(t, lab)
	const lldp, broadcast = "\x01\x80\xc2\x00\x00\x0e", "\xff\xff\xff\xff\xff\xff"
	for _, step := range []struct {
		want  topo.State
		first string // the first frame that arrives
	}{{without, broadcast}, {with, lldp}, {without, broadcast}} {
		up(t, k, step.want)
		if got := firstFrame(t, lldp, broadcast); got != step.first {
			t.Errorf("the first frame that arrives is to %x, want %x", got, step.first)
		}
	}
}

// firstFrame sends frames from red to these addresses, and returns the address of the first that blue receives.
func firstFrame(t *testing.T, to ...string) string {
	t.Helper()
	const kind = 0x88b5 // for local experiments; IEEE 802
	proto := binary.NativeEndian.Uint16([]byte{kind >> 8, kind & 0xff})
	receiver := -1
	err := doIn("blue", func() (err error) {
		receiver, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(receiver)
	timeout := unix.NsecToTimeval(int64(soon))
	if err := unix.SetsockoptTimeval(receiver, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	err = doIn("red", func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		for _, mac := range to {
			frame := append([]byte(mac), 2, 0, 0, 0, 0, 1, kind>>8, kind&0xff)
			port := &unix.SockaddrLinklayer{Ifindex: link.Index, Protocol: proto}
			if err := unix.Sendto(fd, append(frame, make([]byte, 46)...), 0, port); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 1500)
	if n, _, err := unix.Recvfrom(receiver, frame, 0); err != nil || n < 14 {
		t.Fatal(n, err)
	}
	return string(frame[:6])
}

// All options are set, changed, and drift when somebody changes them.
func TestBridgeOptions(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := compileOptions(t, `forward_delay: 4s, hello_time: 1s, max_age: 6s, ageing_time: 0s, priority: 4096,
    group_fwd_mask: [lldp, eapol, 0x8000], mcast_snooping: false, mcast_querier: true`)
	_, none := compileOptions(t, "")
	k := openKernel(t, lab)
	up(t, k, want)
	shown := labtest.IP(t, "-d link show sw")
	for _, option := range []string{
		"forward_delay 400", "hello_time 100", "max_age 600", "ageing_time 0", "priority 4096", "group_fwd_mask 0xc008",
		"mcast_snooping 0", "mcast_querier 1",
	} {
		if !strings.Contains(shown, " "+option+" ") {
			t.Errorf("%s is not in %s", option, shown)
		}
	}
	labtest.IP(t, "link set sw type bridge hello_time 300 mcast_snooping 1")
	drift, err := k.Plan(want)
	if text := drift.String(); err != nil || !strings.Contains(text, "(was 300") {
		t.Errorf("%v\n%s", err, text)
	}
	for _, state := range []topo.State{want, none} {
		up(t, k, state)
		if drift, err := k.Plan(state); err != nil || len(drift) > 0 {
			t.Errorf("%v\n%s", err, drift)
		}
	}
}

// A bridge has the times of the root of its spanning tree, the bridge with the lowest priority, and a shorter ageing
// time while the tree changes. They are no drift.
func TestTimesOfTheRoot(t *testing.T) {
	lab, want := labtest.Compiled(t, `
name: roots
networks:
  one: {stp: true, mtu: 1400, forward_delay: 2s, hello_time: 1s, max_age: 6s, priority: 4096}
  two: {stp: true, mtu: 1400, forward_delay: 3s, max_age: 7s, in: red}
hosts:
  red: {devices: {x1: {type: vxlan, id: 7, remote: 10.0.0.1, network: two}}}
  machine: {devices: {x2: {type: vxlan, id: 7, remote: 10.0.0.2, network: one}}}
links: [{endpoints: [machine, red], addresses: [10.0.0.1/30, 10.0.0.2/30]}]
`)
	if err := missingFeatures(topo.Diff(nil, want)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	k := openKernel(t, lab)
	up(t, k, want)
	if drift, err := k.Plan(want); err != nil || len(drift) > 0 {
		t.Errorf("%v\n%s", err, drift)
	}
	h, err := k.table.Handle("red")
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Conn.Link(rtnl.LinkID{Name: "two"})
	if n, _ := two.Kind.Options["forward_delay"].(uint64); err != nil || n != 200 {
		t.Errorf("the forward delay of the other bridge is %d (%v), want the root's", n, err)
	}
}
