package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/live"
)

func TestMain(m *testing.M) { os.Exit(nsfs.Sandbox(m.Run)) }

// A running is a daemon that runs in a test.
type running struct {
	t      *testing.T
	client http.Client
	stop   context.CancelFunc
	ended  chan error
}

func start(t *testing.T) *running {
	socket := filepath.Join(t.TempDir(), "socket")
	ctx, stop := context.WithCancel(context.Background())
	d := &running{t: t, stop: stop, ended: make(chan error, 1)}
	d.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	listener, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- run(ctx, "lab.yaml", listener) }()
	return d
}

// do sends a request and checks its status.
func (d *running) do(method, path, body string, want int) string {
	d.t.Helper()
	r, err := http.NewRequest(method, "http://daemon"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := d.client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		d.t.Fatalf("%s %s %s: %s %s, want %d (%v)", method, path, body, response.Status, text, want, err)
	}
	return string(text)
}

// forwards returns the forwards of the lab's table.
func forwards(t *testing.T) (all []string) {
	t.Helper()
	c, err := nft.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rules, err := c.Read("vnet_daemon")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if f, ok := r.Rule.(nft.Forward); ok && f.To.Is4() {
			all = append(all, f.String())
		}
	}
	return all
}

// The daemon forwards a port on request, stops that on request, and takes the lab down when it ends.
func TestDaemon(t *testing.T) {
	d := start(t)
	d.do("PUT", "/ports/8080", "red:80", http.StatusOK)
	if got := strings.Join(forwards(t), ", "); got != "tcp dport 2222 dnat ip to 10.88.0.2:22, "+
		"tcp dport 8080 dnat ip to 10.88.0.2:80" {
		t.Errorf("forwards: %q", got)
	}
	d.do("PUT", "/ports/8080", "blue:80", http.StatusOK) // replaces it
	d.do("PUT", "/ports/9090", "red:90", http.StatusOK)
	d.do("DELETE", "/ports/8080", "", http.StatusOK)
	d.do("DELETE", "/ports/8080", "", http.StatusOK)
	if got := strings.Join(forwards(t), ", "); got != "tcp dport 2222 dnat ip to 10.88.0.2:22, "+
		"tcp dport 9090 dnat ip to 10.88.0.2:90" {
		t.Errorf("forwards: %q", got)
	}
	d.do("PUT", "/ports/0", "red:80", http.StatusBadRequest)
	d.do("PUT", "/ports/80", "green:80", http.StatusBadRequest)
	d.do("PUT", "/ports/65536", "red:80", http.StatusBadRequest)
	d.stop()
	if err := <-d.ended; err != nil {
		t.Error(err)
	}
	if labs, err := live.Labs(); err != nil || len(labs) > 0 {
		t.Errorf("left: %v, %v", labs, err)
	}
}

// A port that the lab has already is refused, and the other ports stay.
func TestDaemonRefuses(t *testing.T) {
	d := start(t)
	d.do("PUT", "/ports/9090", "red:90", http.StatusOK)
	if text := d.do("PUT", "/ports/2222", "blue:22", http.StatusConflict); !strings.Contains(text, "forwarded twice") {
		t.Errorf("the error is %q", text)
	}
	d.do("PUT", "/ports/7070", "red:70", http.StatusOK)
	if got := strings.Join(forwards(t), ", "); got != "tcp dport 2222 dnat ip to 10.88.0.2:22, "+
		"tcp dport 7070 dnat ip to 10.88.0.2:70, tcp dport 9090 dnat ip to 10.88.0.2:90" {
		t.Errorf("forwards: %q", got)
	}
	d.stop()
	if err := <-d.ended; err != nil {
		t.Error(err)
	}
}
