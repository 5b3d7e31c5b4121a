package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

func keepObject() *object {
	return &object{name: "keep", usage: "bring a lab up, and repair it when it changes",
		lab: &labCommand{maxArgs: 1, run: (*session).keep, flags: []cli.Flag{
			boolean("json", "log as JSON, one object a line"),
		}}, help: `
vnet keep [FILE] [--json]

Brings a lab up and stays. When the kernel reports a change of the lab's links, addresses,
routes, rules, neighbours, impairments or NAT rules, or a new device, it does what vnet up
would do, and logs each step. If that fails, the log says why, and it tries again. It does
not poll. The kernel does not report changes of files and programs, and of most settings
(it does of forwarding, rp_filter, proxy_arp and proxy_ndp): these are repaired together
with the next change that it reports.

SIGHUP makes it read the file again; a file with mistakes is logged, and the lab stays as
it is. Ctrl-C and SIGTERM end it, and the lab stays up; vnet down removes it. A systemd
service that runs it can have Type=notify or notify-reload, and WatchdogSec=; the packages have
vnet-keep@.service.

   vnet keep lab.yaml
`}
}

// keep runs vnet keep.
func (s *session) keep(l labLine) error {
	first, err := s.readLab(l.file())
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGQUIT)
	defer stop()
	signal.Ignore(unix.SIGPIPE) // vnet keep goes on if the reader of its log ends
	k := &keeper{session: s, file: l.file(), lab: first, log: slog.New(slog.NewTextHandler(s.err, nil))}
	if l.Bool("json") || s.JSON {
		k.log = slog.New(slog.NewJSONHandler(s.err, nil))
	}
	k.log = k.log.With("lab", first.Name)
	again := make(chan struct{}, 1)
	defer k.onReload(again)()
	opt := live.KeepOptions{Again: again, Report: k.report, Alive: func() { notify(stillAlive) }, Log: k.log}
	if every := watchdogInterval(); every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		opt.Beat = ticker.C
	}
	defer notify("STOPPING=1")
	return live.Keep(ctx, first.Name, k.want, opt)
}

// A keeper is a running vnet keep.
type keeper struct {
	*session
	file   string
	lab    lab.Topology
	log    *slog.Logger
	reload atomic.Bool // the file is read before the next comparison

	wasUp bool
	last  string // the last error, which is logged once
}

// onReload makes SIGHUP read the file again, until stop is called.
func (k *keeper) onReload(again chan<- struct{}) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGHUP)
	go func() {
		for range signals {
			k.reload.Store(true)
			select {
			case again <- struct{}{}:
			default: // one is enough
			}
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}

// want returns the state that the file asks for on this machine as it is now.
func (k *keeper) want() (topo.State, error) {
	if k.reload.Swap(false) {
		k.readAgain()
	}
	current := k.lab
	if err := current.Fill(live.Machine{}); err != nil {
		return nil, err
	}
	return lab.Compile(current)
}

// readAgain reads the file. If it cannot be used, the lab stays as it was.
func (k *keeper) readAgain() {
	notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonicMicroseconds()))
	changed, err := k.parse(k.file)
	switch {
	case err != nil:
		k.log.Error("cannot use the file, so the lab stays as it is", "file", k.file, "error", err)
	case changed.Name != k.lab.Name:
		k.log.Error("the file has another lab now, so the lab stays as it is", "file", k.file, "name", changed.Name)
	default:
		k.lab = changed
		k.log.Info("read the file again", "file", k.file)
	}
}

// maxSteps limits how many steps of one repair are logged.
const maxSteps = 20

// report logs what a comparison did.
func (k *keeper) report(p topo.Plan, err error) {
	switch {
	case err != nil:
		if text := err.Error(); text != k.last {
			k.last = text
			k.log.Error("the lab differs from the file", "error", err)
			notify("STATUS=" + text)
		}
		return
	case k.last != "" && len(p) == 0:
		k.log.Info("the lab is as in the file")
	case !k.wasUp:
		made, changed, deleted := p.Count()
		k.log.Info("the lab is up", "made", made, "changed", changed, "deleted", deleted)
	default:
		for i, step := range p {
			if i == maxSteps {
				k.log.Info("and more steps", "steps", len(p)-i)
				break
			}
			k.log.Info("repaired", "step", step.String())
		}
	}
	k.last, k.wasUp = "", true
	notify("READY=1\nSTATUS=up")
}
