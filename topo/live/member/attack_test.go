//go:build linux

package member

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestIgnoresAdvertisements: a router advertisement of a member gives the machine no address and no route.
func TestIgnoresAdvertisements(t *testing.T) {
	if v, err := nsfs.Sysctl(linux.ForwardingIPv6); err != nil || v != "0" {
		t.Skip("no IPv6, or the machine forwards it")
	}
	n := testNetwork(t, func(n *Network) { n.Subnets = n.Subnets[:1] })
	ns := newNS(t)
	a := attach(t, n, Member{ID: "red", Link: "eth0", NS: ns})
	sh(t, ns, "ip addr add fe80::bad/64 dev eth0 nodad")
	if err := in(ns, advertise); err != nil {
		t.Fatal(err)
	}
	serve(t, "", "machine", a.Addresses[0].Gateway.String()+":80")
	answer(t, ns, "tcp", a.Addresses[0].Gateway.String()+":80") // after it, the machine has handled the advertisement
	if out := sh(t, "", "ip -6 addr show; ip -6 route"); strings.Contains(out, "2001:db8:bad:") ||
		strings.Contains(out, "default") {
		t.Errorf("the machine has accepted a router advertisement:\n%s", out)
	}
}

// advertise sends a router advertisement on eth0: a default route, and the prefix 2001:db8:bad::/64.
func advertise() error {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return err
	}
	from := unix.SockaddrInet6{Addr: [16]byte{0: 0xfe, 1: 0x80, 14: 0x0b, 15: 0xad}, ZoneId: uint32(link.Index)}
	if err := unix.Bind(fd, &from); err != nil {
		return err
	}
	message := []byte{0: 134, 4: 64, 15: 0} // RFC 4861, 4.2
	binary.BigEndian.PutUint16(message[6:], 1800)
	message = append(message, 3, 4, 64, 0xc0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) // 4.6.2: for 65536 s
	message = append(message, 0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	to := unix.SockaddrInet6{Addr: [16]byte{0: 0xff, 1: 0x02, 15: 1}, ZoneId: uint32(link.Index)}
	return unix.Sendto(fd, message, 0, &to)
}

// TestLinkNamedMaking: the name of a link can be the word that follows the alias of what is not whole.
func TestLinkNamedMaking(t *testing.T) {
	n, ctx := testNetwork(t), context.Background()
	m := Member{ID: "red", Link: "making", NS: newNS(t)}
	attach(t, n, m)
	if list, err := Members(ctx, n.Name); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := Detach(ctx, n.Name, m.id()); err != nil {
		t.Error(err)
	}
}

// TestNetworkName: each function refuses a name that no network can have. A lock of the name a/b was waited for without
// end.
func TestNetworkName(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, name := range []string{"", "a/b", "x/../../y", "a b", "a\n", strings.Repeat("n", 300)} {
		_, openErr := Open(name)
		_, listErr := Members(ctx, name)
		_, attachErr := Attach(ctx, Network{Name: name, Bridge: "br0"}, Member{ID: "red", Link: "eth0"})
		for i, err := range []error{openErr, listErr, attachErr, Detach(ctx, name, ID{"red", "eth0"}),
			Sweep(ctx, name, nil), Remove(ctx, name)} {
			if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("network %q: expected", name)) {
				t.Errorf("%q, function %d: %v", name, i, err)
			}
		}
	}
}

// TestSharedBridge: a network that leaves a bridge takes nothing from another network that has it.
func TestSharedBridge(t *testing.T) {
	blue := testNetwork(t)
	red := testNetwork(t, func(n *Network) {
		n.Name = "red"
		n.Subnets = []Subnet{{Prefix: netip.MustParsePrefix("10.78.0.0/24")},
			{Prefix: netip.MustParsePrefix("fd00:78::/64")}}
	})
	ns, out, ctx := newNS(t), outside(t), context.Background()
	attach(t, red, Member{ID: "red", Link: "eth0", NS: newNS(t)}) // makes the bridge
	attach(t, blue, Member{ID: "blue", Link: "eth0", NS: ns})
	serve(t, out, "outside", "192.0.2.2:80")
	serve(t, out, "outside", "[2001:db8::2]:80")
	if err := errors.Join(Detach(ctx, red.Name, ID{"red", "eth0"}), Remove(ctx, red.Name)); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"192.0.2.2:80", "[2001:db8::2]:80"} {
		if got := answer(t, ns, "tcp", to); got == "" {
			t.Errorf("the other network does not reach %s any more", to)
		}
	}
	addrs := sh(t, "", "ip addr show dev br0")
	if strings.Contains(addrs, " 10.78.") || strings.Contains(addrs, "fd00:78:") {
		t.Error("addresses stay:\n" + addrs)
	}
	if err := errors.Join(Detach(ctx, blue.Name, ID{"blue", "eth0"}), Remove(ctx, blue.Name)); err != nil {
		t.Fatal(err)
	}
	if out, err := try("", "ip link show dev br0"); err == nil {
		t.Error("the last network leaves the bridge that vnet made:\n" + out)
	}
}

// TestPortAtOneAddress: a member cannot take a port at one address that another has at each.
func TestPortAtOneAddress(t *testing.T) {
	n, ctx := testNetwork(t), context.Background()
	each := Port{Proto: nft.TCP, HostPort: 8080, Port: 80}
	four, six := each, each
	four.Host, six.Host = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	attach(t, n, Member{ID: "red", Link: "eth0", NS: newNS(t), Ports: []Port{each, four}}) // its own is not in the way
	for _, p := range []Port{four, six} {
		_, err := Attach(ctx, n, Member{ID: "blue", Link: "eth0", NS: newNS(t), Ports: []Port{p}})
		var taken *TakenError
		if !errors.As(err, &taken) || taken.Owner.Container != "red" {
			t.Errorf("%s: %v", p.Host, err)
		}
	}
	if err := Detach(ctx, n.Name, ID{"red", "eth0"}); err != nil {
		t.Fatal(err)
	}
	attach(t, n, Member{ID: "blue", Link: "eth0", NS: newNS(t), Ports: []Port{four, six}})
}

// TestSweptMeanwhile: an address that Sweep has for a moment is not taken.
func TestSweptMeanwhile(t *testing.T) {
	n := testNetwork(t)
	attach(t, n, Member{ID: "red", Link: "eth0", NS: newNS(t)})
	want := netip.MustParseAddr("10.77.0.9")
	sh(t, "", "ip link property add dev br0 altname "+claimOf(n.Name, want))
	freed := make(chan error, 1)
	time.AfterFunc(waitTime/4, func() {
		_, err := try("", "ip link property del dev br0 altname "+claimOf(n.Name, want))
		freed <- err
	})
	attach(t, n, Member{ID: "blue", Link: "eth0", NS: newNS(t), Addresses: []netip.Addr{want}})
	if err := <-freed; err != nil {
		t.Error(err)
	}
}

// TestSubnetsOverlap: a member's address of one subnet could be the gateway of another.
func TestSubnetsOverlap(t *testing.T) {
	n := Network{Name: "net", Bridge: "br0", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24")},
		{Prefix: netip.MustParsePrefix("10.0.0.0/25")}}}
	_, err := Attach(context.Background(), n, Member{ID: "red", Link: "eth0", NS: newNS(t)})
	if err == nil || err.Error() != "network net: subnets 10.0.0.0/24 and 10.0.0.0/25 overlap" {
		t.Error(err)
	}
}

// TestNoLinkLocalAddress: a network without IPv6 gives members no address of the machine, so an internal network stays
// internal.
func TestNoLinkLocalAddress(t *testing.T) {
	serve(t, "", "machine", "[::]:81")
	for _, subnets := range [][]Subnet{nil, testSubnets()[:1]} {
		n := testNetwork(t, func(n *Network) {
			n.Name, n.Subnets, n.DefaultRoute, n.Masquerade = fmt.Sprint("net", len(subnets)), subnets, false, false
			n.Bridge = n.Name
		})
		ns := newNS(t)
		attach(t, n, Member{ID: "red", Link: "eth0", NS: ns})
		sh(t, ns, "ip addr add fe80::bad/64 dev eth0 nodad; ip link set dev eth0 up")
		link, err := net.InterfaceByName(n.Bridge)
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := link.Addrs()
		if err != nil || len(addrs) > 0 {
			t.Errorf("the bridge has %v, %v", addrs, err)
		}
		for _, a := range addrs {
			if got := answer(t, ns, "tcp", "["+a.(*net.IPNet).IP.String()+"%eth0]:81"); got != "" {
				t.Errorf("a member reaches the machine at %s: %s", a, got)
			}
		}
	}
}
