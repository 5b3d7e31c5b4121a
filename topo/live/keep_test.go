package live

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

// keptLab has links of each kind that Keep watches, and rules.
const keptLab = `
name: kept
networks: {sw: {subnets: [10.0.5.0/24, "fd00:5::/64"], nat: true}}
hosts:
  red: {networks: [sw], ports: ["8080:80"]}
  blue: {networks: [sw]}
links:
  - endpoints: [red:eth1, blue:eth1]
    addresses: [10.0.6.1/30, 10.0.6.2/30]
`

// damages are what others can do to keptLab: words for ip(8), or no words to delete the lab's rules.
var damages = []string{
	"link del red-eth0", "link del sw", "link set sw down", "addr flush dev sw", "-n red link del eth1",
	"-n red link set eth0 down", "-n red link set eth0 mtu 1400", "-n blue addr del 10.0.6.2/30 dev eth1",
	"-n blue addr flush dev eth0", "-n blue route del default", "-n blue -6 route del default", "netns del blue", "",
}

func deleteRules(t *testing.T) {
	c, err := nft.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.DeleteTable(mark.Table("kept")); err != nil {
		t.Fatal(err)
	}
}

// A keeping is a keeper that runs in a test. It tries again after an hour: what it repairs, it was told by the kernel.
type keeping struct {
	t       *testing.T
	lab     string
	want    atomic.Pointer[topo.State]
	reports chan error
	again   chan struct{}
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
		}
		return kernel, err
	}
	k.Again, k.Report = g.again, func(_ topo.Plan, err error) { g.reports <- err }
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
			if err != nil {
				g.t.Fatalf("%s: %v", after, err)
			}
		case <-limit:
			g.t.Fatalf("%s: not repaired:\n%s", after, drift)
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
		if damage == "" {
			deleteRules(t)
		} else {
			labtest.IP(t, damage)
		}
		g.repaired(damage)
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
