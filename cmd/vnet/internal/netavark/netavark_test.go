//go:build linux

package netavark

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/topo/live/member"
)

// TestCreate completes networks as podman sends them, or refuses them.
func TestCreate(t *testing.T) {
	b := &strings.Builder{}
	const id = `"name":"n1","id":"0123456789abcdef0123","driver":"vnet"`
	for _, text := range []string{
		// podman network create -d vnet, with all that podman 5.4 and 5.8 send
		`{` + id + `,"network_interface":"brq","created":"0001-01-01T00:00:00Z","subnets":[{"subnet":"10.1.0.0/24",` +
			`"gateway":"10.1.0.1","lease_range":{"start_ip":"10.1.0.65","end_ip":"10.1.0.127"}}],"routes":[{"destination":` +
			`"10.200.0.0/16","gateway":"10.1.0.1","metric":50}],"ipv6_enabled":false,"internal":false,"dns_enabled":true,` +
			`"network_dns_servers":["9.9.9.9"],"labels":{},"options":{"mtu":"1400"},"ipam_options":{"driver":"host-local"}}`,
		`{` + id + `,"ipv6_enabled":true}`,
		`{` + id + `,"ipv6_enabled":true,"subnets":[{"subnet":"10.1.0.0/24"}]}`,
		`{` + id + `,"ipam_options":{"driver":"none"}}`,
		`{` + id + `,"ipam_options":{"driver":"dhcp"}}`,
		`{` + id + `,"options":{"vlan":"5"}}`,
		`{` + id + `,"options":{"mtu":"big"}}`,
		`{` + id + `,"options":{"isolate":"strict","no_default_route":"1"}}`,
		`{` + id + `,"subnets":[{"subnet":"10.1.0.0"}]}`,
		`{` + id + `,"subnets":[{"subnet":"10.1.0.0/24","gateway":"x"}]}`,
		`{` + id + `,"subnets":[{"subnet":"10.1.0.0/24","gateway":"10.2.0.1"}]}`,
		`{` + id + `,"network_interface":"sixteen-letters."}`,
		`{` + id + `,"network_interface":"a/b"}`,
		`{` + id + `,"subnets":[{"subnet":"10.1.0.0/24","lease_range":{"start_ip":"x"}}]}`,
		`{`,
		`[]`,
	} {
		fmt.Fprintln(b, text)
		all, err := Complete([]byte(text), func(netip.Prefix) bool { return false })
		if err != nil {
			fmt.Fprintf(b, "    error: %v\n", err)
			continue
		}
		out, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "    %s\n", out)
	}
	golden.File(t, "testdata/create.txt", b.String())
}

// TestCreateAvoids does not choose a subnet that the machine has.
func TestCreateAvoids(t *testing.T) {
	var first netip.Prefix
	all, err := Complete([]byte(`{"name":"n1","id":"0123456789abcdef"}`), func(p netip.Prefix) bool {
		if !first.IsValid() {
			first = p
		}
		return p == first
	})
	if err != nil || strings.Contains(string(all["subnets"]), first.String()) || len(all["subnets"]) == 0 {
		t.Errorf("%s is taken, but: %s, %v", first, all["subnets"], err)
	}
}

// TestSetup reads containers as netavark 1.14 to 2.0 sends them.
func TestSetup(t *testing.T) {
	b := &strings.Builder{}
	const network = `"network":{"dns_enabled":true,"driver":"vnet","id":"0123","internal":false,"ipv6_enabled":false,` +
		`"name":"n1","network_interface":"br1","options":null,"ipam_options":null,"subnets":[{"gateway":"10.1.0.1",` +
		`"lease_range":null,"subnet":"10.1.0.0/24"},{"subnet":"fd00::/64","lease_range":{"end_ip":"fd00::9"}}],` +
		`"routes":%s,"network_dns_servers":null}`
	for _, c := range []struct{ ports, routes, options string }{
		{`null`, `null`, `"interface_name":"eth0","static_ips":null,"static_mac":null`},
		{`[{"container_port":80,"host_ip":"","host_port":8080,"protocol":"tcp","range":1},{"container_port":9000,` +
			`"host_ip":"127.0.0.1","host_port":9000,"protocol":"tcp,udp","range":2}]`,
			`[{"destination":"10.9.0.5/16","gateway":"10.1.0.7","metric":50}]`,
			`"interface_name":"eth0","static_ips":["10.1.0.7"],"static_mac":"02:11:22:33:44:55"`},
		{`[{"container_port":80,"host_port":8080,"protocol":"icmp"}]`, `null`, `"interface_name":"eth0"`},
		{`[{"container_port":80,"host_port":65535,"range":2}]`, `null`, `"interface_name":"eth0"`},
		{`[{"container_port":80,"host_port":80,"host_ip":"x"}]`, `null`, `"interface_name":"eth0"`},
		{`null`, `[{"destination":"default","gateway":"10.1.0.7"}]`, `"interface_name":"eth0"`},
		{`null`, `null`, `"interface_name":"eth0","static_ips":["x"]`},
		{`null`, `null`, `"interface_name":"eth0","static_mac":"x"`},
	} {
		text := fmt.Sprintf(`{"container_id":"c1","container_name":"web","port_mappings":%s,`+network+
			`,"network_options":{"aliases":["al"],%s,"options":{"foo":"bar"}}}`, c.ports, c.routes, c.options)
		fmt.Fprintf(b, "%s %s %s\n", c.ports, c.routes, c.options)
		container, err := Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		n, err := container.Network.Network()
		if err != nil {
			t.Fatal(err)
		}
		m, err := container.Member("/run/netns/c1")
		if err != nil {
			fmt.Fprintf(b, "    error: %v\n", err)
			continue
		}
		fmt.Fprintf(b, "    %+v\n    %+v\n", n, m)
	}
	golden.File(t, "testdata/setup.txt", b.String())
	if _, err := Read([]byte(`[]`)); err == nil {
		t.Error("a list is no container")
	}
}

// TestInternal has no gateway, no ports and no default route.
func TestInternal(t *testing.T) {
	c, err := Read([]byte(`{"port_mappings":[{"container_port":80,"host_port":80}],"network":{"internal":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.Network.Network()
	if err != nil || n.Gateway || n.DefaultRoute || n.Masquerade {
		t.Errorf("%+v, %v", n, err)
	}
	if m, err := c.Member("/n"); err != nil || len(m.Ports) > 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestStatus is the answer to setup.
func TestStatus(t *testing.T) {
	var c Container
	c.Options.Link, c.Network.DNS = "eth0", []string{"9.9.9.9"}
	at := member.Attached{Link: member.Interface{MAC: [6]byte{2, 0, 0, 0, 0, 7}}, Addresses: []member.Address{
		{Prefix: netip.MustParsePrefix("10.1.0.7/24"), Gateway: netip.MustParseAddr("10.1.0.1")},
		{Prefix: netip.MustParsePrefix("10.2.0.7/24")}}}
	text, err := json.Marshal(c.Status(at))
	const want = `{"dns_search_domains":[],"dns_server_ips":["9.9.9.9"],"interfaces":{"eth0":{"mac_address":` +
		`"02:00:00:00:00:07","subnets":[{"ipnet":"10.1.0.7/24","gateway":"10.1.0.1"},{"ipnet":"10.2.0.7/24"}]}}}`
	if string(text) != want || err != nil {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
}
