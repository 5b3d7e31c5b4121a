//go:build linux

package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/cni"
)

const dual = `"subnets":["10.91.0.0/24","fd00:91::/64"],"ipMasq":true`

// TestNames are the names by which engines call the plugin.
func TestNames(t *testing.T) {
	e := newEngine(t)
	for _, program := range []string{"vnet", "vnet-cni", "bridge"} {
		const want = `{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}` + "\n"
		if out, code := e.run(program, `junk`, "CNI_COMMAND=VERSION"); out != want || code != 0 {
			t.Errorf("%s: exit code %d, %s", program, code, out)
		}
	}
	if out, code := e.run("vnet-cni", ""); out != "" || code != 0 {
		t.Errorf("without CNI_COMMAND: exit code %d, standard output %q", code, out)
	}
	null, err := os.Open(os.DevNull) // a device, as a terminal is one
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	no, yes := func(string) string { return "" }, func(string) string { return "ADD" }
	for _, c := range []struct {
		args   []string
		getenv func(string) string
		want   bool
	}{
		{[]string{"/opt/cni/bin/vnet-cni"}, no, true}, {[]string{"bridge"}, no, true}, {[]string{"vnet"}, yes, true},
		{[]string{"vnet"}, no, false}, {[]string{"vnet", "ls"}, yes, false}, {nil, yes, false},
		{[]string{"vnet-netavark"}, no, true}, {[]string{"vnet", "create"}, no, false},
		{[]string{"vnet", "setup", "/n"}, no, false}, {[]string{"vnet", "info"}, no, false},
	} {
		if got := Called(c.args, c.getenv, null); got != c.want {
			t.Errorf("%q: %t, want %t", c.args, got, c.want)
		}
	}
}

// TestLife goes through the life of a container as engines do it: DEL before ADD, ADD, CHECK, DEL without a namespace,
// and DEL again.
func TestLife(t *testing.T) {
	e := newEngine(t)
	config, ns := e.network("life", dual), newNS(t)
	e.ok("DEL", "c1", "", config)
	e.ok("STATUS", "", "", config)
	text := e.ok("ADD", "c1", ns, config)
	var r cni.Result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Interfaces) != 3 || r.Interfaces[0].Name != "br-life" || r.Interfaces[2].Name != "eth0" ||
		r.Interfaces[2].Sandbox != ns || r.Interfaces[2].MTU != 1500 || len(r.IPs) != 2 || *r.IPs[1].Interface != 2 ||
		r.IPs[0].Gateway != "10.91.0.1" || r.IPs[1].Gateway != "fd00:91::1" || len(r.Routes) != 2 {
		t.Errorf("result: %s", text)
	}
	if got := sh(t, ns, "ip -o addr show dev eth0"); !strings.Contains(got, r.IPs[0].Address) ||
		!strings.Contains(got, r.IPs[1].Address) {
		t.Errorf("addresses %v, but: %s", r.IPs, got)
	}
	e.ok("CHECK", "c1", ns, after(config, text))
	e.ok("STATUS", "", "", config)
	e.fails(cni.CodeInternal, "already attached", "ADD", "c1", ns, config)
	e.ok("CHECK", "c1", ns, after(config, text)) // the second ADD has changed nothing

	sh(t, ns, "ip link set dev eth0 address 02:00:00:00:00:99 mtu 1400") // as the plugin tuning does
	e.ok("CHECK", "c1", ns, after(config, text))
	e.fails(cni.CodeConfig, "prevResult", "CHECK", "c1", ns, config)
	sh(t, ns, "ip addr flush dev eth0 scope global")
	e.fails(cni.CodeInternal, "address", "CHECK", "c1", ns, after(config, text))

	e.ok("DEL", "c1", "", config)
	e.ok("DEL", "c1", "/run/netns/gone", config)
	e.fails(cni.CodeInternal, "eth0", "CHECK", "c1", ns, after(config, text))
	if got := sh(t, ns, "ip -br link"); strings.Contains(got, "eth0") {
		t.Errorf("after DEL: %s", got)
	}
}

// TestVersions makes the result of each version, and refuses CHECK, STATUS and GC where a version does not have them.
func TestVersions(t *testing.T) {
	e := newEngine(t)
	config := e.network("versions", dual)
	for version, part := range map[string]string{"0.3.1": `"version":"4"`, "0.4.0": `"version":"4"`,
		"1.0.0": `"ips":[{"interface":2`, "1.1.0": `"mtu":1500`} {
		ns, config := newNS(t), strings.Replace(config, "1.1.0", version, 1)
		if out := e.ok("ADD", "v"+version, ns, config); !strings.Contains(out, part) ||
			!strings.Contains(out, `"cniVersion":"`+version+`"`) {
			t.Errorf("%s: %s", version, out)
		}
		e.ok("DEL", "v"+version, "", config)
	}
	old := strings.Replace(config, "1.1.0", "0.3.1", 1)
	e.fails(cni.CodeVersion, "CHECK", "CHECK", "c1", "/n", old)
	e.fails(cni.CodeVersion, "STATUS", "STATUS", "", "", old)
	e.fails(cni.CodeVersion, "GC", "GC", "", "", old)
}

// TestPorts reaches published ports from outside, from the machine, from another container and from the container
// itself, in both families, over TCP and UDP.
func TestPorts(t *testing.T) {
	e := newEngine(t)
	config, far := e.network("ports", dual), outside(t)
	web, client := newNS(t), newNS(t)
	// containerd's capitals
	r := e.add("web", web, with(config, `"runtimeConfig":{"portMappings":[
		{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":""},
		{"HostPort":8080,"ContainerPort":80,"Protocol":"udp","HostIP":""},
		{"HostPort":8081,"ContainerPort":80,"Protocol":"tcp","HostIP":"192.0.2.1"}]}`))
	e.add("client", client, config)
	serve(t, web, "web", 80)
	for _, network := range []string{"tcp", "udp"} {
		reaches(t, far, network, "192.0.2.1:8080", "web")
		reaches(t, far, network, "[2001:db8::1]:8080", "web")
		reaches(t, client, network, "192.0.2.1:8080", "web")
		reaches(t, web, network, "192.0.2.1:8080", "web")
		reaches(t, "", network, "127.0.0.1:8080", "web")
	}
	reaches(t, far, "tcp", "192.0.2.1:8081", "web")
	address, _, _ := strings.Cut(r.IPs[0].Address, "/")
	reaches(t, "", "tcp", address+":80", "web")
	reaches(t, client, "tcp", address+":80", "web")

	e.fails(cni.CodeTaken, "web", "ADD", "other", newNS(t), with(config,
		`"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80}]}`))
	e.ok("DEL", "web", "", config) // neither the namespace nor the ports
	if got, err := ask(far, "tcp", "192.0.2.1:8080"); err == nil {
		t.Errorf("after DEL, the port answers: %s", got)
	}
	e.add("other", newNS(t), with(config, `"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80}]}`))
}

// TestDead removes the ports of a container whose namespace, and with it the link, has ended before DEL.
func TestDead(t *testing.T) {
	e := newEngine(t)
	config := with(e.network("dead", dual), `"runtimeConfig":{"portMappings":[{"hostPort":8099,"containerPort":80}]}`)
	r := e.add("c1", newNS(t), config)
	if got := sh(t, "", "nft list ruleset"); !strings.Contains(got, "8099") {
		t.Fatal(got)
	}
	sh(t, "", "ip link del "+r.Interfaces[1].Name) // as the kernel does, a moment after the namespace
	e.ok("DEL", "c1", "", config)
	if got := sh(t, "", "nft list ruleset"); strings.Contains(got, "8099") {
		t.Error(got)
	}
}

// TestMasquerade lets a container reach the outside with the machine's address.
func TestMasquerade(t *testing.T) {
	e := newEngine(t)
	config, far, ns := e.network("masq", dual), outside(t), newNS(t)
	e.add("c1", ns, config)
	serve(t, far, "far", 7000)
	reaches(t, ns, "tcp", "192.0.2.2:7000", "far")
	reaches(t, ns, "tcp", "[2001:db8::2]:7000", "far")
}

// TestWishes gives an address and a MAC address that the engine asks for, and says who has an address.
func TestWishes(t *testing.T) {
	e := newEngine(t)
	config, ns := e.network("wishes", dual), newNS(t)
	r := e.add("c1", ns, with(config, `"runtimeConfig":{"ips":["10.91.0.7","10.91.0.7","fd00:91::7"]}`),
		"CNI_ARGS=IgnoreUnknown=1;MAC=02:00:00:00:00:77;K8S_POD_NAME=web")
	if got := fmt.Sprint(r.IPs[0].Address, r.IPs[1].Address, r.Interfaces[2].MAC); got !=
		"10.91.0.7/24fd00:91::7/6402:00:00:00:00:77" {
		t.Error(got)
	}
	e.fails(cni.CodeTaken, "10.91.0.7 is taken by eth0 of c1", "ADD", "c2", newNS(t), config, "CNI_ARGS=IP=10.91.0.7")
	e.fails(cni.CodeConfig, "gateway", "ADD", "c2", newNS(t), config, "CNI_ARGS=IP=10.91.0.1")
}

// TestExhausted fills a range. The reference plugin leaves a link in the container that did not get an address, and
// its STATUS reports no problem.
func TestExhausted(t *testing.T) {
	e := newEngine(t)
	config := e.network("full", `"isGateway":true,"ipam":{"type":"host-local","subnet":"10.92.0.0/24",`+
		`"rangeStart":"10.92.0.5","rangeEnd":"10.92.0.6"}`)
	e.add("c1", newNS(t), config)
	e.ok("STATUS", "", "", config)
	e.add("c2", newNS(t), config)
	e.fails(cni.CodeUnavailable, "10.92.0.0/24", "STATUS", "", "", config)
	third := newNS(t)
	e.fails(cni.CodeTryLater, "10.92.0.0/24", "ADD", "c3", third, config)
	e.ok("DEL", "c1", "", config)
	e.add("c3", third, config)
}

// TestGC has lists of all kinds. What is not made by an engine for this network stays.
func TestGC(t *testing.T) {
	e := newEngine(t)
	config, other := e.network("gc", dual), e.network("gc2", `"subnets":["10.93.0.0/24"]`)
	for _, id := range []string{"c1", "c2", "c3"} {
		e.add(id, newNS(t), config)
	}
	e.add("c1", newNS(t), other)
	count := func(bridge string) int { return strings.Count(sh(t, "", "ip -o link show master "+bridge), "\n") }
	for _, step := range []struct {
		keys string
		want int
	}{
		{`"x":1`, 3}, // no list at all, as cnitool
		{`"cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"},{"containerID":"c2","ifname":"eth0"}]`, 2},
		{`"cni.dev/attachments":[{"containerID":"c1","ifname":"eth0"},{"containerID":"c2","ifname":"eth1"}]`, 1},
	} {
		e.ok("GC", "", "", with(config, step.keys))
		if got := count("br-gc"); got != step.want {
			t.Errorf("GC with %s: %d containers, want %d", step.keys, got, step.want)
		}
	}
	e.ok("GC", "", "", with(config, `"cni.dev/valid-attachments":null`))
	if got := sh(t, "", "ip -br link"); strings.Contains(got, "br-gc ") {
		t.Errorf("after GC with an empty list: %s", got)
	}
	if got := count("br-gc2"); got != 1 {
		t.Errorf("another network has %d containers, want 1", got)
	}
}

// TestOwnNamespace refuses to attach the machine itself. The reference plugin makes it, and then prints a result and an
// error.
func TestOwnNamespace(t *testing.T) {
	e := newEngine(t)
	config := e.network("own", dual)
	e.fails(cni.CodeOwnNS, "CNI_NETNS", "ADD", "c1", fmt.Sprintf("/proc/%d/ns/net", os.Getpid()), config)
	e.fails(cni.CodeEnvironment, "CNI_NETNS", "ADD", "c1", "/run/netns/gone", config)
	if got := sh(t, "", "ip -br link"); strings.Contains(got, "eth0") {
		t.Error(got)
	}
}

// TestInterfaceExists keeps a link of the same name that the container has.
func TestInterfaceExists(t *testing.T) {
	e := newEngine(t)
	config, ns := e.network("exists", dual), newNS(t)
	sh(t, ns, "ip link add eth0 type bridge")
	e.fails(cni.CodeInternal, "eth0", "ADD", "c1", ns, config)
	e.ok("DEL", "c1", ns, config)
	sh(t, ns, "ip link show eth0 type bridge; ip link del eth0")
	e.add("c1", ns, config)
}

// TestChain is the second plugin of a chain, as in Nomad: what the first one did stays in the result.
func TestChain(t *testing.T) {
	e := newEngine(t)
	config, ns := e.network("chain", dual), newNS(t)
	r := e.add("c1", ns, after(config, `{"cniVersion":"1.1.0","interfaces":[{"name":"lo","sandbox":"/n"}],`+
		`"ips":[{"address":"127.0.0.1/8","interface":0}]}`))
	if len(r.Interfaces) != 4 || r.Interfaces[0].Name != "br-chain" || r.Interfaces[3].Name != "lo" || len(r.IPs) != 3 ||
		*r.IPs[2].Interface != 3 {
		t.Errorf("%+v", r)
	}
}

// TestLayer2 makes a link without addresses; the first container of each isolated network does not see the second.
func TestLayer2(t *testing.T) {
	e := newEngine(t)
	config, a, b := e.network("l2", `"mtu":1400,"portIsolation":true`), newNS(t), newNS(t)
	r := e.add("a", a, config)
	e.add("b", b, config)
	if len(r.IPs) != 0 || r.Interfaces[2].MTU != 1400 {
		t.Errorf("%+v", r)
	}
	sh(t, a, "ip addr add 10.1.1.1/24 dev eth0")
	sh(t, b, "ip addr add 10.1.1.2/24 dev eth0")
	serve(t, b, "b", 80)
	if got, err := ask(a, "tcp", "10.1.1.2:80"); err == nil {
		t.Errorf("an isolated container answers: %s", got)
	}
}

// TestManyAtOnce attaches containers at once; each gets an address of its own.
func TestManyAtOnce(t *testing.T) {
	e := newEngine(t)
	config := e.network("many", dual)
	const n = 24
	namespaces, results := make([]string, n), make([]string, n)
	for i := range n {
		namespaces[i] = newNS(t)
	}
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			out, code := e.call("ADD", fmt.Sprint("c", i), namespaces[i], config)
			if code != 0 {
				t.Error(out)
			}
			results[i] = out
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, text := range results {
		var r cni.Result
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		for _, ip := range r.IPs {
			if seen[ip.Address] {
				t.Errorf("%s was given twice", ip.Address)
			}
			seen[ip.Address] = true
		}
	}
}

// TestRefused is a process that may do nothing; the engine gets the reason.
func TestRefused(t *testing.T) {
	var out strings.Builder
	c := call{name: "vnet-cni", refused: os.ErrPermission, out: &out, getenv: func(string) string { return "ADD" }}
	if code := c.cni(t.Context()); code != 1 || !strings.Contains(out.String(), "permission denied") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// TestTwoNetworks attaches a container to two networks that both give it a default route, with the same port for both:
// engines name all ports of a container to each network.
func TestTwoNetworks(t *testing.T) {
	e := newEngine(t)
	first, second := e.network("two1", dual), e.network("two2", `"subnets":["10.95.0.0/24","fd00:95::/64"],"ipMasq":true`)
	ns, far := newNS(t), outside(t)
	const port = `"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80}]}`
	e.add("c1", ns, with(first, port))
	e.add("c1", ns, with(second, port), "CNI_IFNAME=eth1")
	serve(t, ns, "web", 80)
	serve(t, far, "far", 7000)
	reaches(t, far, "tcp", "192.0.2.1:8080", "web")
	reaches(t, ns, "tcp", "192.0.2.2:7000", "far")
	e.ok("DEL", "c1", ns, first)
	reaches(t, ns, "tcp", "192.0.2.2:7000", "far")
	reaches(t, ns, "tcp", "[2001:db8::2]:7000", "far")
}
