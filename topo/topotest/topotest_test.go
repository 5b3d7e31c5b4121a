//go:build linux

package topotest_test

import (
	"io"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live"
	"github.com/vnet-lab/vnet/topo/topotest"
)

func TestMain(m *testing.M) { topotest.Main(m) }

const pair = `
name: pair
networks: {lan: {subnets: [10.9.0.0/24, "fd00:9::/64"]}}
hosts:
  red: {networks: [lan]}
  blue: {networks: {lan: {address: 10.9.0.9}}}
expect:
  - red -> blue: ping
  - red -> machine: ping
`

// A server listens in one host, and a client connects from another.
func TestUp(t *testing.T) {
	t.Run("up", func(t *testing.T) {
		lab := topotest.Up(t, pair)
		if r := lab.Verify(); len(r.Results) != 4 {
			t.Errorf("%d facts", len(r.Results))
		}
		var server net.Listener
		if err := lab.In("blue", func() (err error) {
			server, err = net.Listen("tcp", "10.9.0.9:80")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		go func() {
			if c, err := server.Accept(); err == nil {
				io.WriteString(c, c.RemoteAddr().(*net.TCPAddr).IP.String())
				c.Close()
			}
		}()
		if got := call(t, lab, "red", net.TCPAddr{IP: net.IPv4(10, 9, 0, 9), Port: 80}); got != "10.9.0.2" {
			t.Errorf("the client's address is %q", got)
		}
	})
	if labs, err := live.Labs(); err != nil || len(labs) > 0 {
		t.Errorf("labs after the test: %v, %v", labs, err)
	}
}

func call(t *testing.T, lab *topotest.Lab, host string, to net.TCPAddr) string {
	t.Helper()
	var conn net.Conn
	if err := lab.In(host, func() (err error) {
		conn, err = net.DialTCP("tcp", nil, &to)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

func TestChange(t *testing.T) {
	lab := topotest.Up(t, pair)
	lab.Change(pair + "  - blue -> red tcp 80: refused\n")
	if r := lab.Verify(); len(r.Results) != 6 {
		t.Errorf("%d facts", len(r.Results))
	}
}

func TestIn(t *testing.T) {
	lab := topotest.Up(t, pair)
	if err := lab.In("green", func() error { return nil }); !os.IsNotExist(err) {
		t.Errorf("in a host that does not exist: %v", err)
	}
	if err := lab.In(topo.Machine, func() error {
		_, err := net.InterfaceByName("lan")
		return err
	}); err != nil {
		t.Errorf("the machine has no bridge: %v", err)
	}
}

func TestDial(t *testing.T) {
	lab := topotest.Up(t, pair)
	for client, address := range map[string]string{"red": "10.9.0.9:80", "blue": "[::1]:80"} {
		at := netip.MustParseAddrPort(address)
		server, err := lab.Listen("blue", at)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := lab.Dial(client, at)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		server.Close()
		if _, err := lab.Dial(client, at); err == nil {
			t.Errorf("%s accepts connections after Close", at)
		}
	}
}
