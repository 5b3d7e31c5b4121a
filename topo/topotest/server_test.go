//go:build linux

package topotest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/vnet-lab/vnet/topo/topotest"
)

const shop = `
name: shop
networks: {street: {subnets: [10.44.0.0/24]}}
hosts:
  server: {networks: [street]}
  visitor: {networks: [street]}
expect:
  - visitor -> server: ping
`

// An HTTP server runs in one host, and its client in another. The server sees the client's address.
func TestServer(t *testing.T) {
	lab := topotest.Up(t, shop)
	lab.Verify()
	at := netip.MustParseAddrPort("10.44.0.2:80")
	listener, err := lab.Listen("server", at)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, netip.MustParseAddrPort(r.RemoteAddr).Addr().String())
	}))
	client := http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return lab.Dial("visitor", at) },
	}}
	response, err := client.Get("http://server/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if seen, err := io.ReadAll(response.Body); string(seen) != "10.44.0.3" || err != nil {
		t.Errorf("the server saw %q, %v", seen, err)
	}
}
