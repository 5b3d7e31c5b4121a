package live

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
)

const closedLab = `
name: shut
networks:
  sw: {subnets: [10.0.9.0/24, "fd00:9::/64"], nat: true, isolate: true}
  in: {subnets: [10.0.8.0/24], nat: true}
hosts:
  red: {networks: [sw, in], ports: ["8080:80"]}
  blue: {networks: [sw], %s}
`

// TestClosedAtEveryMoment looks at the machine before each request of up, of a changed up and of down: this is also
// what is left if vnet is killed there. Forwarding is never on without its guard, and no packet can pass a link of the
// lab without the rules for this link.
func TestClosedAtEveryMoment(t *testing.T) {
	labtest.NeedIP(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	name, want := labtest.Compiled(t, fmt.Sprintf(closedLab, `ports: ["8081:81"]`))
	_, changed := labtest.Compiled(t, fmt.Sprintf(closedLab, `ports: ["8082:82", "8083:83"]`))
	c := openConnections(t)
	t.Cleanup(func() { openKernel(t, name) }) // takes the lab down
	check := func(during string, run func(k *Kernel) error) (moments int) {
		t.Helper()
		k := openWithoutCleanup(t, name)
		defer k.Close()
		var mu sync.Mutex
		look := func(int) error {
			mu.Lock()
			defer mu.Unlock()
			moments++
			for _, problem := range c.open(t) {
				t.Errorf("%s, before request %d: %s", during, moments, problem)
			}
			return nil
		}
		injectFaults(k, look)
		k.calls.Send = func(conn *rtnl.Conn, reqs ...rtnl.Request) (err error) {
			for i, r := range reqs { // one by one
				look(i)
				for _, one := range joined(execute.RealCalls.Send(conn, r)) {
					if e, ok := one.(*rtnl.Error); ok {
						e.Index = i
					}
					err = errors.Join(err, one)
				}
			}
			return err
		}
		if err := run(k); err != nil {
			t.Fatalf("%s: %v", during, err)
		}
		return moments
	}
	up := func(k *Kernel) error { _, err := k.Up(t.Context(), want, nil); return err }
	change := func(k *Kernel) error { _, err := k.Up(t.Context(), changed, nil); return err }
	down := func(k *Kernel) error { _, err := k.Down(t.Context(), nil); return err }
	for _, during := range []struct {
		what string
		run  func(k *Kernel) error
		min  int
	}{{"up", up, 20}, {"changed up", change, 2}, {"down", down, 10}, {"up again", up, 20}} {
		if n := check(during.what, during.run); n < during.min {
			t.Errorf("%s has %d requests", during.what, n)
		}
	}
	for chain, text := range map[string]string{"forward": "jump closed", "guard": "127.0.0.0/8"} {
		nftOutput(t, "flush", "chain", "inet", "vnet_shut", chain)
		if len(c.open(t)) == 0 {
			t.Errorf("without %q, nothing is found", text)
		}
	}
}

// connections read the state of the current namespace.
type connections struct {
	rtnl *rtnl.Conn
	nft  *nft.Conn
}

func openConnections(t *testing.T) connections {
	t.Helper()
	r, err := rtnl.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	n, err := nft.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return connections{r, n}
}

// open returns what is open although it should not be, as text.
func (c connections) open(t *testing.T) (problems []string) {
	t.Helper()
	guard, err := c.nft.ReadGuard()
	if err != nil {
		t.Fatal(err)
	}
	text := nftOutput(t, "list", "ruleset")
	has := func(set, element string) bool {
		_, rest, _ := strings.Cut(text, "set "+set+" {")
		elements, _, _ := strings.Cut(rest, "\n\t}")
		return strings.Contains(elements, element)
	}
	forwards4, forwards6 := sysctlIs(t, "net/ipv4/ip_forward", "1"), sysctlIs(t, "net/ipv6/conf/all/forwarding", "1")
	if forwards4 && !guard.IPv4 || forwards6 && !guard.IPv6 {
		problems = append(problems, "forwarding is on without a guard")
	}
	links, err := c.rtnl.Links(rtnl.LinkFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if sysctlIs(t, "net/ipv4/conf/"+l.Name+"/route_localnet", "1") && strings.Count(text, "127.0.0.0/8 drop") < 2 {
			problems = append(problems, l.Name+" has route_localnet without the rules for 127.0.0.0/8")
		}
		addrs, err := c.rtnl.Addrs(rtnl.AddrFilter{Link: l.Index})
		if err != nil {
			t.Fatal(err)
		}
		routed := slices.ContainsFunc(addrs, func(a rtnl.Addr) bool { return !a.Prefix.Addr().IsLinkLocalUnicast() })
		if l.Name != "sw" && l.Name != "in" || !forwards4 && !forwards6 || !routed {
			continue
		}
		name := fmt.Sprintf("%q", l.Name)
		if !has("closed", name) || !strings.Contains(text, "oifname @closed iifname != @own jump closed") {
			problems = append(problems, l.Name+" forwards without the rules of closed networks")
		}
		if !strings.Contains(text, "saddr @inside4 masquerade") && !strings.Contains(text, "jump private") {
			problems = append(problems, l.Name+" forwards without the rules against leaks")
		}
		if l.Name == "sw" && !has("isolate_link", name+" . "+name) {
			problems = append(problems, l.Name+" forwards between isolated hosts")
		}
	}
	return problems
}

func sysctlIs(t *testing.T, key, want string) bool {
	t.Helper()
	value, err := nsfs.Sysctl(key)
	return err == nil && value == want
}

func nftOutput(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q: %v\n%s", args, err, out)
	}
	return string(out)
}
