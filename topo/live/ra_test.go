package live

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/announce"
)

// A machine with a default route from router advertisements keeps it when labs turn
// forwarding on. When the last of them is down, accept_ra is as before.
func TestKeepsAdvertisedRoute(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	labtest.IP(t, "link add up0 type veth peer name up1")
	t.Cleanup(func() { labtest.IP(t, "link del up0") })
	labtest.IP(t, "link add static0 type veth peer name static1")
	t.Cleanup(func() { labtest.IP(t, "link del static0") })
	for i, link := range []string{"up0", "static0"} {
		labtest.IP(t, "link set "+link+" up")
		labtest.IP(t, fmt.Sprintf("-6 route add default via fe80::1 dev %s proto ra metric %d onlink", link, 1024+i))
	}
	if err := nsfs.SetSysctl(acceptRAOf("static0"), "0"); err != nil {
		t.Fatal(err)
	}
	before := machineState(t)
	labText := func(name, net string) string {
		return "name: " + name + "\nnetworks: {" + name + ": {subnets: [\"" + net + "\"], nat: true}}\n" +
			"hosts: {" + name + "-h: {networks: [" + name + "]}}\n"
	}
	checkRA := func(what, want string) {
		t.Helper()
		up, err1 := nsfs.Sysctl(acceptRAOf("up0"))
		static, err2 := nsfs.Sysctl(acceptRAOf("static0"))
		if got := up + static; err1 != nil || err2 != nil || got != want {
			t.Errorf("%s: accept_ra is %s, want %s (%v, %v)", what, got, want, err1, err2)
		}
	}
	a, wantA := labtest.Compiled(t, labText("one", "fd00:a::/64"))
	b, wantB := labtest.Compiled(t, labText("two", "fd00:b::/64"))
	ka, kb := openKernel(t, a), openKernel(t, b)
	for _, step := range []struct {
		what     string
		kernel   *Kernel
		want     topo.State
		acceptRA string
	}{
		{"one is up", ka, wantA, "20"}, {"two is up", kb, wantB, "20"}, {"one is down", ka, nil, "20"},
		{"one is up again", ka, wantA, "20"}, {"two is down", kb, nil, "20"}, {"both are down", ka, nil, "10"},
	} {
		var err error
		if step.want == nil {
			_, err = step.kernel.Down(t.Context(), nil)
		} else {
			_, err = step.kernel.Up(t.Context(), step.want, nil)
		}
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		checkRA(step.what, step.acceptRA)
	}
	if after := machineState(t); strings.Join(strings.Fields(after), "") != strings.Join(strings.Fields(before), "") {
		t.Errorf("the machine is not as before:\n%s\nbut:\n%s", before, after)
	}
	// After any failed request, accept_ra is as before.
	for n := range 200 {
		injectFaults(ka, func(i int) error {
			if i == n {
				return unix.EPERM
			}
			return nil
		})
		_, err := ka.Up(t.Context(), wantA, nil)
		withoutFaults(ka)
		if err == nil {
			break
		}
		checkRA("request "+err.Error(), "10")
	}
}

// The hosts and the machine take no default route from a router advertisement of another host, also
// in a lab with IPv4 only. A host whose file asks for it does.
func TestHostsIgnoreAdvertisements(t *testing.T) {
	labtest.NeedIP(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	for name, subnets := range map[string]string{"IPv4": "10.1.0.0/24", "both": `10.1.0.0/24, "fd00:1::/64"`} {
		t.Run(name, func(t *testing.T) {
			lab, want := labtest.Compiled(t, "name: adverts\nnetworks: {sw: {subnets: ["+subnets+"]}}\n"+
				"hosts:\n  evil: {networks: [sw]}\n  a: {networks: [sw]}\n"+
				"  b: {networks: [sw], sysctls: {net.ipv6.conf.eth0.accept_ra: 1}}\n")
			k := openKernel(t, lab)
			up(t, k, want)
			b, err := k.table.Handle("b")
			if err != nil {
				t.Fatal(err)
			}
			events, err := b.Watch(rtnl.GroupRoute6)
			if err != nil {
				t.Fatal(err)
			}
			defer events.Close()
			for n := 0; !strings.Contains(labtest.IP(t, "-n b -6 route show default"), "proto ra"); n++ {
				if n == 10 {
					t.Fatal("b, which asks for advertisements, has no route")
				}
				advertise(t, k, "evil") // again, because a busy machine loses packets
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, _ = events.Next(ctx)
				cancel()
			}
			checkReaches(t, "evil", hostAddr(t, "a")) // a has handled the packets before this one
			for _, ns := range []string{"-n a ", "-n evil ", ""} {
				if routes := labtest.IP(t, ns+"-6 route show default"); strings.Contains(routes, "proto ra") {
					t.Errorf("%q takes a route from an advertisement:\n%s", ns, routes)
				}
			}
		})
	}
}

// hostAddr returns the IPv4 address of a host.
func hostAddr(t *testing.T, host string) string {
	t.Helper()
	words := strings.Fields(labtest.IP(t, "-n "+host+" -4 -br addr show eth0"))
	addr, _, _ := strings.Cut(words[2], "/")
	return addr
}

// advertise sends a router advertisement from a host (RFC 4861, 4.2).
func advertise(t *testing.T, k *Kernel, host string) {
	t.Helper()
	h, err := k.table.Handle(host)
	if err != nil {
		t.Fatal(err)
	}
	link, err := h.Conn.Link(rtnl.LinkID{Name: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0} // a default router for 1800 seconds
	frame, proto := announce.ICMP6Frame(netip.MustParseAddr("fe80::bad"), topo.MAC([]byte(link.Address)), body)
	err = h.RunInside(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: int(link.Index), Protocol: proto})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// acceptRAOf returns the path of a link's sysctl accept_ra.
func acceptRAOf(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }
