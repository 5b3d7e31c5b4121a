//go:build linux

package plugin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/netavark"
)

// netavarkNetwork is a network as create returns it.
func (e engine) netavarkNetwork(name, keys string) string {
	e.Helper()
	out, code := e.run("vnet create", fmt.Sprintf(`{"name":%q,"id":"%s0123456789abcdef","driver":"vnet",%s}`, name, name,
		keys))
	if code != 0 {
		e.Fatalf("create: %s", out)
	}
	return strings.TrimSpace(out)
}

// container is the input of setup and teardown.
func container(id, network, ports, options string) string {
	return fmt.Sprintf(`{"container_id":%q,"container_name":"web","port_mappings":%s,"network":%s,"network_options":{`+
		`"aliases":["al"],"interface_name":"eth0",%s}}`, id, ports, network, options)
}

const (
	noPorts = `null`
	noIP    = `"static_ips":null,"static_mac":null`
)

// setup attaches a container.
func (e engine) setup(ns, input string) (s netavark.Status) {
	e.Helper()
	out, code := e.run("vnet setup "+ns, input)
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil {
		e.Fatalf("setup: exit code %d, %s", code, out)
	}
	return s
}

// TestNetavark goes through what podman does: create, setup with a port, reload with the address of before, teardown,
// and teardown again. The network ends with its last container.
func TestNetavark(t *testing.T) {
	e := newEngine(t)
	network, far, ns := e.netavarkNetwork("n1", `"ipv6_enabled":true`), outside(t), newNS(t)
	const ports = `[{"container_port":80,"host_ip":"","host_port":8080,"protocol":"tcp,udp","range":1}]`
	s := e.setup(ns, container("c1", network, ports, noIP))
	link := s.Interfaces["eth0"]
	if len(link.Subnets) != 2 || link.Subnets[0].Gateway == "" || link.MAC == "" {
		t.Errorf("%+v", s)
	}
	serve(t, ns, "web", 80)
	for _, protocol := range []string{"tcp", "udp"} {
		reaches(t, far, protocol, "192.0.2.1:8080", "web")
		reaches(t, far, protocol, "[2001:db8::1]:8080", "web")
	}
	if got := sh(t, ns, "ip route"); !strings.Contains(got, "default via "+link.Subnets[0].Gateway) {
		t.Errorf("routes: %s", got)
	}
	second := newNS(t)
	e.setup(second, container("c2", network, noPorts, noIP))

	same := container("c1", network, ports, fmt.Sprintf(`"static_ips":[%q],"static_mac":"02:11:22:33:44:55"`,
		strings.Split(link.Subnets[0].Prefix, "/")[0]))
	if out, code := e.run("vnet teardown "+ns, same); out != "" || code != 0 {
		t.Errorf("teardown: exit code %d, %s", code, out)
	}
	if again := e.setup(ns, same).Interfaces["eth0"]; again.Subnets[0] != link.Subnets[0] ||
		again.MAC != "02:11:22:33:44:55" {
		t.Errorf("after reload: %+v, before: %+v", again, link)
	}
	for _, id := range []string{"c1", "c2", "c2", "c3"} {
		if out, code := e.run("vnet teardown /run/netns/gone", container(id, network, noPorts, noIP)); code != 0 {
			t.Errorf("teardown of %s: exit code %d, %s", id, code, out)
		}
	}
	got := sh(t, "", "ip -br link; nft list ruleset")
	if strings.Contains(got, "br-n1") || strings.Contains(got, "podman") {
		t.Errorf("at the end: %s", got)
	}
}

// TestNetavarkErrors answers with JSON on standard output.
func TestNetavarkErrors(t *testing.T) {
	e := newEngine(t)
	network := e.netavarkNetwork("n2", `"options":{}`)
	for program, stdin := range map[string]string{
		"vnet create":                  `{"name":"n2","id":"0123","options":{"bad":"x"}}`,
		"vnet setup /run/netns/gone":   container("c1", network, noPorts, noIP),
		"vnet setup /proc/self/ns/net": container("c1", network, noPorts, noIP),
		"vnet teardown /n":             `junk`,
		"vnet-netavark x":              ``,
	} {
		out, code := e.run(program, stdin)
		var answer netavark.Error
		if err := json.Unmarshal([]byte(out), &answer); code == 0 || err != nil || answer.Text == "" {
			t.Errorf("%s: exit code %d, %s", program, code, out)
		}
	}
	for _, program := range []string{"vnet-netavark", "vnet-netavark info"} {
		if out, code := e.run(program, ""); code != 0 || out != `{"version":"v1","api_version":"1.0.0"}`+"\n" {
			t.Errorf("%s: exit code %d, %s", program, code, out)
		}
	}
	if got := sh(t, "", "ip -br link"); strings.Contains(got, "br-n2") {
		t.Errorf("a setup that failed has left: %s", got)
	}
}
