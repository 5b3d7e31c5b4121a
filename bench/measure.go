package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A job is one measurement: the commands of a contestant, run in a sandbox.
type job struct {
	Work work
	Dir  string
	// Up makes the network, Again makes it once more, Add makes it with one host
	// more, Down takes it away. Again and Add may be missing.
	Up, Again, Add, Down []string
	// Times is a file in which a contestant tells its own times, in seconds, for
	// it has to do all in one.
	Times string
	// Refused says why the contestant does not do this work; "" if it does.
	Refused string
}

// A measurement is what the commands of a job cost. Zero was not measured.
type measurement struct {
	Up, Again, Add, Down time.Duration
	// MaxRSS is the most memory a command of Up held, in KiB.
	MaxRSS int64
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measure runs the job on standard input and writes the measurement.
func measure() int {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	m, err := j.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(m); err != nil {
		return 1
	}
	return 0
}

func (j job) run() (m measurement, err error) {
	if j.Refused != "" {
		return m, errors.New(j.Refused)
	}
	c, err := rtnl.Dial(nil)
	if err != nil {
		return m, err
	}
	defer c.Close()
	if m.Up, m.MaxRSS, err = timed(j.Up); err != nil {
		return m, err
	}
	if j.Times != "" {
		return timesOf(j.Times)
	}
	if err := j.check(c); err != nil {
		return m, err
	}
	if m.Again, _, err = timed(j.Again); err != nil {
		return m, err
	}
	if m.Add, _, err = timed(j.Add); err != nil {
		return m, err
	}
	start := time.Now()
	if _, _, err := timed(j.Down); err != nil {
		return m, err
	}
	if err := gone(c); err != nil {
		return m, err
	}
	m.Down = time.Since(start)
	return m, nil
}

// gone waits until no cable and no switch is left: the kernel takes namespaces down
// on its own time, and with them the far ends of their cables.
func gone(c *rtnl.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	here, err := nsfs.Current()
	if err != nil {
		return err
	}
	defer here.Close()
	events, err := rtnl.Watch(here, rtnl.GroupLink)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		links, err := c.Links(rtnl.LinkFilter{NoStats: true})
		if err != nil || !slices.ContainsFunc(links, isOfWork) {
			return err
		}
		if _, err := events.Next(ctx); err != nil {
			return fmt.Errorf("wait until all is gone: %w", err)
		}
	}
}

func isOfWork(l rtnl.Link) bool { return l.Kind.Name == "veth" || l.Kind.Name == "bridge" }

// timed runs a command, none if there is none.
func timed(args []string) (time.Duration, int64, error) {
	if len(args) == 0 {
		return 0, 0, nil
	}
	var out strings.Builder
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	took := time.Since(start)
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return took, usage.Maxrss, nil
}

func timesOf(file string) (measurement, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return measurement{}, err
	}
	var seconds struct{ Up, Down float64 }
	err = json.Unmarshal(text, &seconds)
	toDuration := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	return measurement{Up: toDuration(seconds.Up), Down: toDuration(seconds.Down)}, err
}

// check says whether the network is the one that was asked for: all cables in
// their switches, and every host addressed and routed.
func (j job) check(c *rtnl.Conn) error {
	links, err := c.Links(rtnl.LinkFilter{})
	if err != nil {
		return err
	}
	ports := 0
	for _, l := range links {
		if l.Master != 0 && l.Kind.Name == "veth" {
			ports++
		}
	}
	if ports != j.Work.Hosts() {
		return fmt.Errorf("%d cables in the switches, want %d", ports, j.Work.Hosts())
	}
	for i, h := range j.Work.All() {
		if i%97 != 0 && i != j.Work.Hosts()-1 {
			continue // a sample
		}
		if err := h.check(); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return nil
}

func (h host) check() error {
	ns, err := nsfs.Open(h.Name)
	if err != nil {
		return err
	}
	defer ns.Close()
	c, err := rtnl.Dial(ns)
	if err != nil {
		return err
	}
	defer c.Close()
	addrs, err := c.Addrs(rtnl.AddrFilter{Family: unix.AF_INET})
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if a.Prefix == h.Addr || a.Prefix.Bits() == h.Addr.Bits() {
			return h.checkRoute(c)
		}
	}
	return fmt.Errorf("not addressed")
}

func (h host) checkRoute(c *rtnl.Conn) error {
	routes, err := c.Routes(rtnl.RouteFilter{Family: unix.AF_INET})
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Dst == netip.MustParsePrefix("0.0.0.0/0") && r.Gateway == h.Gateway.Addr() {
			return nil
		}
	}
	return fmt.Errorf("no default route")
}
