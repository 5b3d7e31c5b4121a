package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// keptLab has links and settings of each kind that Keep watches, and rules.
const keptLab = `
name: kept
networks: {sw: {subnets: [10.0.5.0/24, "fd00:5::/64"], nat: true}}
hosts:
  red:
    networks: [sw]
    ports: ["8080:80", "8081:81/udp"]
    routes: [10.9.0.0/16 via 10.0.5.1, 10.8.0.0/16 via 10.0.5.1 table 100]
    rules: [from 10.7.0.0/16 lookup 100]
    neighbours: [10.0.5.77 lladdr 02:00:00:00:00:77 dev eth0, "fd00:5::77 lladdr 02:00:00:00:00:77 dev eth0"]
    sysctls: {net.ipv4.conf.all.rp_filter: 1, net.ipv4.conf.eth0.proxy_arp: 1}
  blue: {networks: [sw]}
links:
  - endpoints: [red:eth1, blue:eth1]
    addresses: [10.0.6.1/30, 10.0.6.2/30]
`

// damages are what others can do to keptLab: words for ip(8), or a host, a setting and a value, or the number of a rule
// to delete, or no words to delete all rules with their table.
var damages = []string{
	"link del red-eth0", "link del blue-eth0", "link del sw", "link set sw down", "link set red-eth0 nomaster",
	"addr flush dev sw", "-n red link del eth1", "-n red link set eth0 down", "-n red link set eth0 mtu 1400",
	"-n blue addr del 10.0.6.2/30 dev eth1", "-n blue addr flush dev eth0", "-n blue route del default",
	"-n blue -6 route del default", "-n red route del 10.9.0.0/16", "-n red route flush table 100",
	"-n red rule del from 10.7.0.0/16", "-n red neigh del 10.0.5.77 dev eth0", "-n red neigh del fd00:5::77 dev eth0",
	"-n red neigh change 10.0.5.77 lladdr 02:00:00:00:00:78 dev eth0 nud permanent",
	"red net.ipv4.conf.all.rp_filter 0", "red net.ipv4.conf.eth0.proxy_arp 0", "netns del blue", "netns del red",
	"0", "1", "2", "",
}

// do does one of the damages. Its error is that the lab is damaged so that it cannot be damaged so too.
func do(t *testing.T, damage string) error {
	t.Helper()
	words := strings.Fields(damage)
	switch number, err := strconv.Atoi(damage); {
	case damage == "" || err == nil:
		return deleteRules(number, damage == "")
	case len(words) == 3 && strings.HasPrefix(words[1], "net."):
		ns, err := nsfs.Open(words[0])
		if err != nil {
			return err
		}
		defer ns.Close()
		return nsfs.Do(ns, func() error { return nsfs.SetSysctl(words[1], words[2]) })
	}
	out, err := exec.Command("ip", words...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w\n%s", damage, err, out)
	}
	return nil
}

// deleteRules deletes a rule of the lab, or its table.
func deleteRules(number int, all bool) error {
	c, err := nft.Dial(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	table := mark.Table("kept")
	if all {
		return c.DeleteTable(table)
	}
	rules, err := c.Read(table)
	if err != nil || len(rules) == 0 {
		return errors.Join(err, fs.ErrNotExist)
	}
	return c.Apply(table, []nft.Rule{rules[number%len(rules)].Rule}, nil)
}

// A keeping is a keeper that runs in a test. It tries again after an hour: what it repairs, it was told by the kernel.
type keeping struct {
	t       *testing.T
	lab     string
	want    atomic.Pointer[topo.State]
	reports chan error
	again   chan struct{}

	tolerant bool // errors are not the end
	opened   atomic.Pointer[func(*Kernel)]

	comparisons, repairs, steps atomic.Int64
	last                        atomic.Value // the text of the last error
}

func startKeeping(t *testing.T, text string) *keeping {
	t.Helper()
	name, want := labtest.Compiled(t, text)
	g := &keeping{t: t, lab: name, reports: make(chan error, 100), again: make(chan struct{})}
	g.want.Store(&want)
	o, err := Observe(name)
	if err != nil {
		t.Fatal(err)
	}
	o.table.Etc = "/run/etc-netns"
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	k := &keeper{Observer: o, minRetry: time.Hour, want: func() (topo.State, error) { return *g.want.Load(), nil }}
	k.open = func() (*Kernel, error) {
		kernel, err := OpenKernel(ctx, name, nil)
		if err == nil {
			kernel.table.Etc = "/run/etc-netns"
			if opened := g.opened.Load(); opened != nil {
				(*opened)(kernel)
			}
		}
		return kernel, err
	}
	k.Again, k.Report = g.again, g.report
	go func() { ended <- k.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		o.Close()
		openKernel(t, name)
	})
	return g
}

func (g *keeping) report(p topo.Plan, err error) {
	g.comparisons.Add(1)
	if len(p) > 0 {
		g.repairs.Add(1)
		g.steps.Add(int64(len(p)))
	}
	if err != nil {
		g.last.Store(err.Error())
	}
	select {
	case g.reports <- err:
	default: // nobody waits
	}
}

// repaired waits until the lab is as wanted.
func (g *keeping) repaired(after string) {
	g.t.Helper()
	limit := time.After(soon)
	for {
		drift := g.drift()
		if len(drift) == 0 {
			return
		}
		select {
		case err := <-g.reports:
			if err != nil && !g.tolerant {
				g.t.Fatalf("%s: %v", after, err)
			}
		case <-limit:
			stacks := make([]byte, 1<<16)
			stacks = stacks[:runtime.Stack(stacks, true)]
			g.t.Fatalf("%s: not repaired:\n%sThe last error: %v\n%s", after, drift, g.last.Load(), stacks)
		}
	}
}

func (g *keeping) drift() topo.Plan {
	g.t.Helper()
	o, err := Observe(g.lab)
	if err != nil {
		g.t.Fatal(err)
	}
	o.table.Etc = "/run/etc-netns"
	defer o.Close()
	s, err := o.Status(*g.want.Load())
	if err != nil {
		return topo.Plan{{}} // the lab changed while it was read
	}
	return s.Drift
}

// TestKeep damages a lab in all ways, in random order. Keep repairs each.
func TestKeep(t *testing.T) {
	labtest.NeedIP(t)
	g := startKeeping(t, keptLab)
	g.repaired("start")
	order := slices.Clone(damages)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, damage := range order {
		if err := do(t, damage); err != nil {
			t.Fatal(err)
		}
		g.repaired(damage)
	}
}

// TestKeepDamagedMeanwhile: damage during a repair is no error.
func TestKeepDamagedMeanwhile(t *testing.T) {
	labtest.NeedIP(t)
	g := startKeeping(t, keptLab)
	g.repaired("start")
	var once sync.Once
	var damaged atomic.Bool
	opened := func(k *Kernel) {
		send := k.calls.Send
		k.calls.Send = func(c *rtnl.Conn, reqs ...rtnl.Request) error {
			err := send(c, reqs...)
			once.Do(func() { damaged.Store(do(t, "-n red route del 10.9.0.0/16") == nil) })
			return err
		}
	}
	g.opened.Store(&opened)
	if err := do(t, "-n red link set eth0 mtu 1400"); err != nil {
		t.Fatal(err)
	}
	g.repaired("damage and more damage")
	if !damaged.Load() {
		t.Error("there was no more damage")
	}
}

// TestKeepReads: Again makes Keep ask for the wanted state.
func TestKeepReads(t *testing.T) {
	labtest.NeedIP(t)
	g := startKeeping(t, keptLab)
	g.repaired("start")
	_, want := labtest.Compiled(t, strings.ReplaceAll(keptLab, "8080", "8081"))
	g.want.Store(&want)
	g.again <- struct{}{}
	g.repaired("a changed file")
}

// TestKeepWaitsForLink: a lab whose uplink is absent comes up when the uplink appears.
func TestKeepWaitsForLink(t *testing.T) {
	labtest.NeedIP(t)
	g := startKeeping(t, "name: late\nnetworks: {sw: {uplink: late0}}\nhosts: {red: {networks: [sw]}}\n")
	if err := <-g.reports; !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "late0") {
		t.Fatalf("without its uplink: %v", err)
	}
	labtest.IP(t, "link add late0 type veth peer name late1")
	t.Cleanup(func() { labtest.IP(t, "link del late0") })
	g.repaired("the uplink appeared")
}
