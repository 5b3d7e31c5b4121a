package live

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

// reloadsEnv is the number of reloads of TestReloadLosesNothing; make soak sets it.
const reloadsEnv = "VNET_RELOADS"

// reloadedLab has the forward 8080, which stays, and other ports, which change.
const reloadedLab = `
name: reloaded
networks: {sw: {subnets: [10.0.5.0/24, "fd00:5::/64"], nat: true}}
hosts:
  red: {networks: [sw], ports: ["8080:80"%s]}
  blue: {networks: [sw], ports: ["5353:53/udp"%s]}
  visitor: {}
links:
  - endpoints: [machine:street0, visitor:eth0]
    addresses: [[198.51.100.1/24, "2001:db8:51::1/64"], [198.51.100.7/24, "2001:db8:51::7/64"]]
`

// reloadedPorts are the other ports of red and blue. They also need other nftables sets.
var reloadedPorts = [][2]string{
	{"", ""}, {`, "9000:90"`, ""}, {`, "9001:90"`, ""}, {"", `, "9001:90"`}, {`, "7000-7009:7000-7009"`, ""},
	{`, "198.51.100.1:9000:90"`, `, "9002:90/udp"`},
}

// TestReloadLosesNothing: while the file of a lab changes again and again, connections through a forward that stays are
// opened all the time. None fails, and none had to send a packet twice.
func TestReloadLosesNothing(t *testing.T) {
	reloads := 10
	if text := os.Getenv(reloadsEnv); text != "" {
		var err error
		if reloads, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	var states []topo.State
	lab := ""
	for _, ports := range reloadedPorts {
		name, want := labtest.Compiled(t, fmt.Sprintf(reloadedLab, ports[0], ports[1]))
		lab, states = name, append(states, want)
	}
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), states[0], nil); err != nil {
		t.Fatal(err)
	}
	serveLines(t, "red", "tcp", ":80")
	traffic := startVisits("visitor", "198.51.100.1:8080", "[2001:db8:51::1]:8080")
	for n := range reloads {
		if plan, err := k.Up(t.Context(), states[(n+1)%len(states)], nil); err != nil || len(plan) == 0 {
			t.Errorf("reload %d: %v", n, err)
		}
		for until := traffic.opened.Load() + 10; traffic.opened.Load() < until && traffic.failed() == nil; {
			time.Sleep(time.Millisecond)
		}
	}
	traffic.stop()
	t.Logf("%d reloads, %d connections in %v, %d packets sent again", reloads, traffic.opened.Load(),
		time.Since(traffic.began).Round(time.Millisecond), traffic.again.Load())
	if err := traffic.failed(); err != nil || traffic.again.Load() > 0 {
		t.Errorf("lost: %v", err)
	}
}

// visits opens 200 connections in a second, one after the other to each of the addresses.
type visits struct {
	began         time.Time
	opened, again atomic.Int64 // again is how many packets TCP had to send again
	err           atomic.Pointer[error]
	end           chan struct{}
	running       sync.WaitGroup
}

func startVisits(host string, addrs ...string) *visits {
	c := &visits{began: time.Now(), end: make(chan struct{})}
	c.running.Go(func() {
		ticks := time.NewTicker(5 * time.Millisecond)
		defer ticks.Stop()
		for n := 0; ; n++ {
			select {
			case <-ticks.C:
			case <-c.end:
				return
			}
			c.running.Go(func() {
				if err := c.open(host, addrs[n%len(addrs)]); err != nil {
					c.err.CompareAndSwap(nil, &err)
				}
				c.opened.Add(1)
			})
		}
	})
	return c
}

func (c *visits) stop() {
	close(c.end)
	c.running.Wait()
}

// failed returns the first error of a connection.
func (c *visits) failed() error {
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

// open opens a connection, sends a line and gets it back.
func (c *visits) open(host, addr string) error {
	conn, err := dialIn(host, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := exchangeLine(conn); err != nil {
		return err
	}
	again, err := sentAgain(conn)
	c.again.Add(int64(again))
	return err
}
