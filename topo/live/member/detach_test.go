//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// machine returns all that the machine has, to compare it with before.
func machine(t testing.TB) string {
	return sh(t, "", `ip -d link; ip addr; ip -6 addr; nft list ruleset
		sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding; ls -A /run/vnet 2>/dev/null || true`)
}

// withoutNumbers removes what changes when links are made: lines of lifetimes, and indexes.
func same(t testing.TB, before, after string) {
	t.Helper()
	if before != after {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestDetach(t *testing.T) {
	before := machine(t)
	n := testNetwork(t)
	ctx := context.Background()
	if err := Detach(ctx, n.Name, ID{"red", "eth0"}); err != nil {
		t.Errorf("before any Attach: %v", err)
	}
	attach(t, n, Member{ID: "red", Link: "eth0", NS: newNS(t), Ports: []Port{{Proto: nft.TCP, HostPort: 8080, Port: 80}}})
	for range 2 {
		if err := Detach(ctx, n.Name, ID{"red", "eth0"}); err != nil {
			t.Error(err)
		}
	}
	if rules := sh(t, "", "nft list table inet "+tableOf(n.Name)); strings.Contains(rules, "8080") {
		t.Error("the port is still there:", rules)
	}
	if err := Remove(ctx, n.Name); err != nil {
		t.Error(err)
	}
	same(t, before, machine(t))
}

// TestNewTenant: who gets an address or a port again gets neither the forwards nor the connections of the former owner,
// however that one has gone.
func TestNewTenant(t *testing.T) {
	out := outside(t)
	n := testNetwork(t)
	ctx := context.Background()
	addr := netip.MustParseAddr("10.77.0.9")
	web := []Port{{Proto: nft.UDP, HostPort: 8080, Port: 80}}
	ns := newNS(t)
	attach(t, n, Member{ID: "old", Link: "eth0", NS: ns, Addresses: []netip.Addr{addr}, Ports: web})
	serve(t, ns, "old", "10.77.0.9:80")
	if got := answer(t, out, "udp", "192.0.2.1:8080"); got != "old 192.0.2.2" {
		t.Fatalf("%q", got)
	}
	sh(t, "", "ip link del "+hostName(n.Name, ID{"old", "eth0"})) // as the kernel does when the namespace ends
	next := newNS(t)
	attach(t, n, Member{ID: "new", Link: "eth0", NS: next, Addresses: []netip.Addr{addr}})
	serve(t, next, "new", "10.77.0.9:80")
	if got := ask(t, out, "udp", "192.0.2.1:8080"); got != "" {
		t.Errorf("the new owner of the address has the port of the old one: %q", got)
	}
	if got := answer(t, "", "tcp", "10.77.0.9:80"); got != "new 10.77.0.1" {
		t.Errorf("the new owner of the address: %q", got)
	}
	third := newNS(t)
	a := attach(t, n, Member{ID: "third", Link: "eth0", NS: third, Ports: web})
	serve(t, third, "third", a.Addresses[0].Prefix.Addr().String()+":80")
	if got := answer(t, out, "udp", "192.0.2.1:8080"); got != "third 192.0.2.2" {
		t.Errorf("the new owner of the port: %q", got)
	}
	_, err := Attach(ctx, n, Member{ID: "fourth", Link: "eth0", NS: newNS(t), Addresses: []netip.Addr{addr}})
	var taken *TakenError
	if !errors.As(err, &taken) || taken.Owner != (ID{"new", "eth0"}) {
		t.Errorf("an address that is taken: %v", err)
	}
	_, err = Attach(ctx, n, Member{ID: "fifth", Link: "eth0", NS: newNS(t), Ports: web})
	if !errors.As(err, &taken) || taken.Owner != (ID{"third", "eth0"}) {
		t.Errorf("a port that is taken: %v", err)
	}
	if members, err := Members(ctx, n.Name); err != nil || len(members) != 2 {
		t.Errorf("after failed attaches: %v, %v", members, err)
	}
}

func TestExhausted(t *testing.T) {
	n := testNetwork(t, func(n *Network) { n.Subnets = []Subnet{{Prefix: netip.MustParsePrefix("10.77.0.0/30")}} })
	attach(t, n, Member{ID: "red", Link: "eth0", NS: newNS(t)})
	ns := newNS(t)
	_, err := Attach(context.Background(), n, Member{ID: "blue", Link: "eth0", NS: ns})
	if !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
	if err := Detach(context.Background(), n.Name, ID{"red", "eth0"}); err != nil {
		t.Error(err)
	}
	attach(t, n, Member{ID: "blue", Link: "eth0", NS: ns}) // nothing was left in the namespace
}

// TestManyAtOnce: 32 workers attach 200 members, one of them makes the network.
func TestManyAtOnce(t *testing.T) {
	n := testNetwork(t)
	ctx := context.Background()
	const members = 200
	namespaces := make([]string, members)
	for i := range namespaces {
		namespaces[i] = newNS(t)
	}
	var mu sync.Mutex
	seen := map[netip.Addr]string{}
	work := make(chan int)
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for i := range work {
				a, err := Attach(ctx, n, Member{ID: fmt.Sprint("c", i), Link: "eth0", NS: namespaces[i],
					Ports: []Port{{Proto: nft.TCP, HostPort: uint16(10000 + i), Port: 80}}})
				mu.Lock()
				if err != nil {
					t.Error(err)
				}
				for _, p := range a.Addresses {
					if seen[p.Prefix.Addr()] != "" {
						t.Errorf("%s: %s and %s", p.Prefix, seen[p.Prefix.Addr()], a.ID)
					}
					seen[p.Prefix.Addr()] = a.ID
				}
				mu.Unlock()
			}
		})
	}
	for i := range members {
		work <- i
	}
	close(work)
	workers.Wait()
	list, err := Members(ctx, n.Name)
	if err != nil || len(list) != members || len(seen) != 2*members || len(list[7].Ports) != 1 {
		t.Errorf("%d members, %d addresses, %v", len(list), len(seen), err)
	}
	var keep []ID
	for i := range members {
		if i%50 == 0 {
			keep = append(keep, ID{fmt.Sprint("c", i), "eth0"})
		}
	}
	if err := Sweep(ctx, n.Name, keep); err != nil {
		t.Error(err)
	}
	if list, err := Members(ctx, n.Name); err != nil || len(list) != len(keep) {
		t.Errorf("%d members after Sweep, %v", len(list), err)
	}
}

// TestDetachDead: the ports of a member whose namespace has ended are removed if the caller names them, and nobody
// else's.
func TestDetachDead(t *testing.T) {
	n := testNetwork(t)
	ctx := context.Background()
	ports := []Port{{Proto: nft.TCP, HostPort: 8080, Port: 80}, {Proto: nft.UDP, HostPort: 8080, Port: 80}}
	attach(t, n, Member{ID: "other", Link: "eth0", NS: newNS(t), Ports: []Port{{Proto: nft.TCP, HostPort: 81, Port: 80}}})
	red := attach(t, n, Member{ID: "red", Link: "eth0", NS: newNS(t),
		Ports: append(slices.Clone(ports), Port{Proto: nft.TCP, HostPort: 8081, Port: 80})})
	sh(t, "", "ip link del "+hostName(n.Name, ID{"red", "eth0"}))
	named := append(slices.Clone(ports), Port{Proto: nft.TCP, HostPort: 81, Port: 80},
		Port{Proto: nft.TCP, HostPort: 99, Port: 1})
	if err := Detach(ctx, n.Name, ID{"red", "eth0"}, named...); err != nil {
		t.Error(err)
	}
	maps := sh(t, "", "nft list table inet "+tableOf(n.Name))
	if strings.Contains(maps, "8080") || !strings.Contains(maps, "8081") || !strings.Contains(maps, ". 81 ") {
		t.Error(maps)
	}
	// The next owner of the address does not inherit the port that nobody has named.
	attach(t, n, Member{ID: "blue", Link: "eth0", NS: newNS(t), Addresses: []netip.Addr{red.Addresses[0].Prefix.Addr()}})
	if maps := sh(t, "", "nft list map inet "+tableOf(n.Name)+" dnat4"); strings.Contains(maps, "8081") {
		t.Error(maps)
	}
	if err := Detach(ctx, "nosuch", ID{"red", "eth0"}, ports...); err != nil {
		t.Error(err)
	}
}

// TestSameAgain: a member whose namespace has just ended can be attached again with another one.
func TestSameAgain(t *testing.T) {
	n := testNetwork(t)
	m := Member{ID: "red", Link: "eth0", Ports: []Port{{Proto: nft.TCP, HostPort: 8080, Port: 80}}}
	for range 3 {
		ns, err := nsfs.New()
		if err != nil {
			t.Fatal(err)
		}
		m.NS = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
		attach(t, n, m)
		ns.Close()
	}
	m.NS = newNS(t)
	attach(t, n, m)
	m.NS = newNS(t)
	if _, err := Attach(context.Background(), n, m); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the first namespace exists: %v", err)
	}
}

// TestNotWhole: what an Attach that was killed has left does not stop the next one, and Sweep removes it.
func TestNotWhole(t *testing.T) {
	n := testNetwork(t)
	ctx := context.Background()
	m := Member{ID: "red", Link: "eth0", NS: newNS(t), Ports: []Port{{Proto: nft.TCP, HostPort: 8080, Port: 80}}}
	half := func() {
		attach(t, n, m)
		sh(t, "", "ip link set "+hostName(n.Name, m.id())+" alias '"+aliasOf(n.Name, m.id())+making+"'")
	}
	half()
	if _, err := Attach(ctx, n, m); err != nil {
		t.Error(err)
	}
	if err := Detach(ctx, n.Name, m.id()); err != nil {
		t.Error(err)
	}
	half()
	if err := Sweep(ctx, n.Name, nil); err != nil {
		t.Error(err)
	}
	if links := sh(t, "", "ip link"); strings.Contains(links, ": vn") {
		t.Error(links)
	}
}

func TestOwnNamespace(t *testing.T) {
	n := testNetwork(t)
	if _, err := Attach(context.Background(), n, Member{ID: "red", Link: "eth0", NS: "/proc/self/ns/net"}); !errors.Is(
		err, ErrOwnNamespace) {
		t.Error(err)
	}
	if err := nsfs.Add("red"); err != nil {
		t.Fatal(err)
	}
	defer nsfs.Remove("red")
	attach(t, n, Member{ID: "red", Link: "eth0", NS: "red"}) // a name is enough
}
