// Command daemon keeps a lab up, and forwards ports on request:
//
//	daemon lab.yaml /run/daemon.sock
//	curl --unix-socket /run/daemon.sock -X PUT -d red:80 http://daemon/ports/8080
//	curl --unix-socket /run/daemon.sock -X DELETE http://daemon/ports/8080
//
// SIGTERM takes the lab down.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/live"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: daemon FILE SOCKET")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	listener, err := listen(os.Args[2])
	if err == nil {
		err = run(ctx, os.Args[1], listener)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "daemon:", err)
		os.Exit(1)
	}
}

// listen opens the socket. A client can forward ports, so only the daemon's own user may connect.
func listen(socket string) (net.Listener, error) {
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	return net.Listen("unix", socket)
}

// run keeps the lab of a file up until ctx ends, and then takes it down. It closes the listener.
func run(ctx context.Context, file string, listener net.Listener) error {
	defer listener.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	topology, err := lab.Parse(file, text) // returns all mistakes, each with its line
	if err != nil {
		return err
	}
	d := &daemon{lab: topology, again: make(chan struct{}, 1), ports: map[uint16]lab.Forward{}}
	server := &http.Server{Handler: d.handler(ctx)}
	go server.Serve(listener) //nolint:errcheck // it returns only when the server is closed
	err = live.Keep(ctx, topology.Name, d.want, live.KeepOptions{Again: d.again, Report: d.report})
	return errors.Join(err, server.Close(), down(topology.Name))
}

// down removes everything that has the lab's mark.
func down(name string) error {
	ctx := context.Background() // the context of run has ended
	kernel, err := live.OpenKernel(ctx, name, nil)
	if err != nil {
		return err
	}
	_, err = kernel.Down(ctx, nil)
	return errors.Join(err, kernel.Close())
}

// A daemon is the state of the program: the file, and what was requested since.
type daemon struct {
	lab   lab.Topology
	again chan struct{} // makes Keep compare the lab

	request sync.Mutex // one request at a time

	mu      sync.Mutex // protects the rest
	ports   map[uint16]lab.Forward
	waiting chan<- error // of a request that want has not seen yet
	asking  chan<- error // of a request that want has seen
}

// want returns the state that the lab should have now. Keep calls it before each comparison.
func (d *daemon) want() (topo.State, error) {
	d.mu.Lock()
	if d.waiting != nil {
		d.asking, d.waiting = d.waiting, nil
	}
	current := d.lab
	current.Hosts = slices.Clone(d.lab.Hosts)
	for i := range current.Hosts {
		h := &current.Hosts[i]
		h.Ports = slices.Clone(h.Ports)
		for _, p := range d.ports {
			if p.Host == h.Name {
				p.Host = "" // of a port of a host, the target is the host itself
				h.Ports = append(h.Ports, p)
			}
		}
	}
	d.mu.Unlock()
	if err := current.Fill(live.Machine{}); err != nil { // what depends on this machine
		return nil, err
	}
	return lab.Compile(current)
}

// report gets the result of each comparison from Keep. It answers the request that the comparison contained.
func (d *daemon) report(plan topo.Plan, err error) {
	for _, step := range plan {
		fmt.Println(step)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asking != nil {
		d.asking <- err
		d.asking = nil
	}
}

// change changes the ports, and returns when the kernel has the change. After an error, the ports are as before. It
// does not stop when the client goes away: nobody would undo a change that is not possible.
func (d *daemon) change(ctx context.Context, edit func(map[uint16]lab.Forward)) error {
	d.request.Lock()
	defer d.request.Unlock()
	answer := make(chan error, 1)
	d.mu.Lock()
	before := d.ports
	d.ports = maps.Clone(before)
	edit(d.ports)
	d.waiting = answer
	d.mu.Unlock()
	d.compare()
	select {
	case err := <-answer:
		if err != nil {
			d.mu.Lock()
			d.ports = before
			d.mu.Unlock()
			d.compare()
		}
		return err
	case <-ctx.Done(): // the daemon ends
		return ctx.Err()
	}
}

// compare makes Keep compare the lab soon.
func (d *daemon) compare() {
	select {
	case d.again <- struct{}{}:
	default: // one is enough
	}
}

// handler answers PUT and DELETE of /ports/NUMBER until ctx ends.
func (d *daemon) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /ports/{number}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.ParseUint(r.PathValue("number"), 10, 16)
		target, readErr := io.ReadAll(io.LimitReader(r.Body, 100))
		p, targetErr := d.parse(uint16(number), strings.TrimSpace(string(target)))
		if err = errors.Join(err, readErr, targetErr); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, d.change(ctx, func(all map[uint16]lab.Forward) { all[p.First] = p }))
	})
	mux.HandleFunc("DELETE /ports/{number}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.ParseUint(r.PathValue("number"), 10, 16)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, d.change(ctx, func(all map[uint16]lab.Forward) { delete(all, uint16(number)) }))
	})
	return mux
}

// parse reads a target: HOST:PORT.
func (d *daemon) parse(number uint16, target string) (lab.Forward, error) {
	host, text, _ := strings.Cut(target, ":")
	to, err := strconv.ParseUint(text, 10, 16)
	known := slices.ContainsFunc(d.lab.Hosts, func(h lab.Host) bool { return h.Name == host })
	if err != nil || !known || number == 0 || to == 0 {
		return lab.Forward{}, fmt.Errorf("expected a port and HOST:PORT, not %d and %q", number, target)
	}
	return lab.Forward{First: number, Last: number, Host: host, ToFirst: uint16(to), Proto: "tcp"}, nil
}

func reply(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}
