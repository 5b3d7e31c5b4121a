package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/topo"
)

// addressesOf returns the devices of a lab with their addresses, one per line.
func addressesOf(t *testing.T, text string) string {
	t.Helper()
	lab := mustParse(t, "lab.yaml", []byte(text))
	l, _ := NewLayout(&lab)
	var b strings.Builder
	for _, i := range l.Ifaces {
		fmt.Fprintf(&b, "%s %s %s\n", i.Host, i.Name, strings.Trim(fmt.Sprint(i.Addrs), "[]"))
	}
	return b.String()
}

// In each subnet, the gateway gets the first address. Then each host in order
// gets the next free one, except those that the file gives to a host.
func TestAddressesAreAssignedInOrder(t *testing.T) {
	for _, c := range []struct{ why, lab, want string }{
		{"the machine is first; explicit addresses are reserved", `
networks: {a: {subnets: [10.0.0.0/24, "fd00::/64"]}}
hosts:
  red: {networks: a}
  blue: {networks: {a: {address: 10.0.0.2}}}
  green: {networks: {a: {address: "fd00::2"}}}
`, `
machine a 10.0.0.1/24 fd00::1/64
red eth0 10.0.0.3/24 fd00::3/64
blue eth0 10.0.0.2/24 fd00::4/64
green eth0 10.0.0.4/24 fd00::2/64
`},
		{"another gateway has the first address, in any order", `
networks: {a: {subnets: 10.0.0.0/24, gateway: gw}}
hosts: {red: {networks: a}, gw: {networks: a}}
`, `
machine a 
red eth0 10.0.0.2/24
gw eth0 10.0.0.1/24
`},
		{"a gateway can have another address than the first", `
networks:
  a: {subnets: 10.0.0.0/24, gateway: gw}
  b: {subnets: [10.1.0.0/24, 10.2.0.0/24], gateway: 10.1.0.254}
hosts: {red: {networks: [a, b]}, gw: {networks: {a: {address: 10.0.0.254}}}}
`, `
machine a 
machine b 10.1.0.254/24 10.2.0.1/24
red eth0 10.0.0.1/24
red eth1 10.1.0.1/24 10.2.0.2/24
gw eth0 10.0.0.254/24
`},
		{"without a gateway, a host has the first address", `
networks: {a: {subnets: 10.0.0.0/24, gateway: none}}
hosts: {red: {networks: a}, blue: {networks: a}}
`, `
machine a 
red eth0 10.0.0.1/24
blue eth0 10.0.0.2/24
`},
		{"the host with the bridge is its gateway, or an ordinary host", `
networks:
  lan: {in: home, subnets: 192.168.1.0/24}
  wan: {subnets: 10.0.0.0/24, gateway: isp}
hosts:
  home: {networks: wan}
  isp: {networks: wan}
  pc: {networks: lan}
  machine: {networks: {wan: {address: 10.0.0.99}}}
`, `
home lan 192.168.1.1/24
machine wan 10.0.0.99/24
home eth0 10.0.0.2/24
isp eth0 10.0.0.1/24
pc eth0 192.168.1.2/24
`},
		{"hosts use all addresses of point-to-point subnets", `
networks: {a: {subnets: [10.0.0.0/31, "fd00::/127"]}, b: {subnets: 10.1.0.0/30}}
hosts: {red: {networks: [a, b]}}
`, `
machine a 10.0.0.0/31 fd00::/127
machine b 10.1.0.1/30
red eth0 10.0.0.1/31 fd00::1/127
red eth1 10.1.0.2/30
`},
		{"an address with a prefix length, and no address", `
networks: {a: {subnets: 10.0.0.0/24}}
hosts:
  red: {networks: {a: {address: 10.9.0.1/16}}}
  blue: {networks: {a: {address: [10.0.0.7/32]}}, routes: 10.0.0.1 dev eth0}
  green: {networks: {a: {address: none}}}
`, `
machine a 10.0.0.1/24
red eth0 10.9.0.1/16 10.0.0.2/24
blue eth0 10.0.0.7/32
green eth0 
`},
		{"devices are named eth0, eth1 … except used names; those of the machine after the peer", `
networks: {a: {}, b: {}}
hosts: {red: {networks: {a: {}, b: {name: eth0}}}, blue: {}, a-host-of-a-long-name: {}}
links:
  - {endpoints: [red, blue:eth3]}
  - {endpoints: [blue, machine]}
  - {endpoints: [machine:up0, a-host-of-a-long-name]}
  - {endpoints: [machine, a-host-of-a-long-name]}
`, `
machine a 
machine b 
red eth1 
red eth0 
red eth2 
blue eth3 
blue eth0 
machine blue-eth0 
machine up0 
a-host-of-a-long-name eth0 
machine a-host-q6b0en2l 
a-host-of-a-long-name eth1 
`},
	} {
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), addressesOf(t, c.lab)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.why, diff)
		}
	}
}

// Names of bridge ports are valid, stable and unique.
func TestPortNames(t *testing.T) {
	seen := map[string]string{}
	hosts := []string{
		"red", "h1000", "a-host-of-a-long-name", "a-host-of-a-long-name2", strings.Repeat("x", 63), "dot.ted.host.name",
	}
	for _, host := range hosts {
		for _, dev := range []string{"eth0", "eth1", "eth0.4094"} {
			name, full := portName("lab", host, dev)
			if !validDevice(name) {
				t.Errorf("%s %s: %q is not a device name", host, dev, name)
			}
			if full != host+"-"+dev {
				t.Errorf("%s %s: full name %q", host, dev, full)
			}
			if other := seen[name]; other != "" {
				t.Errorf("%s is the name for %s and for %s", name, other, full)
			}
			seen[name] = full
		}
	}
	if name, _ := portName("lab", "red", "eth0"); name != "red-eth0" {
		t.Errorf("a short name is %q", name)
	}
	a, _ := portName("lab1", "a-host-of-a-long-name", "eth0")
	b, _ := portName("lab2", "a-host-of-a-long-name", "eth0")
	if a == b {
		t.Errorf("two labs have the same %s", a)
	}
}

// Derived MACs are local unicast addresses, stable, and different for each
// device of a lab.
func TestDerivedMACs(t *testing.T) {
	seen := map[topo.MAC]int{}
	for i := range 20000 {
		mac := derivedMAC("lab", fmt.Sprint("h", i), "eth0")
		if mac[0]&3 != 2 {
			t.Fatalf("%s is not a local unicast address", mac)
		}
		if other, twice := seen[mac]; twice {
			t.Fatalf("h%d and h%d have the same %s", i, other, mac)
		}
		seen[mac] = i
	}
	if derivedMAC("ab", "c") == derivedMAC("a", "bc") {
		t.Error("a MAC does not depend on the boundaries of the names")
	}
}

// The default gateway of a host is that of the first network with another host as its gateway.
func TestDefaultGateway(t *testing.T) {
	lab := mustParse(t, "lab.yaml", []byte(`
networks:
  none: {subnets: 10.0.0.0/24, gateway: none}
  own: {subnets: 10.1.0.0/24, gateway: red}
  six: {subnets: "fd00::/64"}
  four: {subnets: 10.2.0.0/24, gateway: blue}
hosts:
  red: {networks: [none, own, six, four]}
  blue: {networks: [four]}
`))
	l, _ := NewLayout(&lab)
	for _, c := range []struct {
		host string
		v4   bool
		want string
	}{
		{"red", true, "four via blue"}, {"red", false, "six via machine"},
		{"blue", true, ""}, {"blue", false, ""}, {"machine", true, ""}, {"nobody", true, ""},
	} {
		got := ""
		if gw, ok := l.defaultGateway(c.host, c.v4); ok {
			got = lab.Networks[gw.net].Name + " via " + gw.gateway
		}
		if got != c.want {
			t.Errorf("%s, IPv4 %t: default gateway %q, want %q", c.host, c.v4, got, c.want)
		}
	}
}

// A topology made by hand is checked like a file. Unknown names and invalid
// numbers cause no panic.
func TestCheckByHand(t *testing.T) {
	for what, lab := range map[string]Topology{
		"no name": {},
		"unknown names": {
			Name: "x", Networks: []Network{{Name: "a", In: "b", Gateway: "c", IsolateFrom: []string{"d"}}},
			Links: []Link{{}}, Expect: []Expectation{{From: "e", To: "f"}},
		},
		"duplicates": {
			Name: "x", Hosts: []Host{{Name: "a"}, {Name: "a"}}, Networks: []Network{{Name: "n"}, {Name: "n"}},
		},
		"zero values": {Name: "x", Hosts: []Host{{
			Name: "a", Routes: []StaticRoute{{}}, Neighbours: []StaticNeigh{{}}, Sysctls: []Setting{{}},
			Ports: []Forward{{}}, Forwards: []Forward{{}}, Devices: []Device{{}}, Networks: []Attachment{{}},
		}}},
	} {
		if err := Check(lab); err == nil {
			t.Errorf("%s: no mistake found", what)
		} else if ms := err.(Mistakes); ms[0].Line != 0 || strings.HasPrefix(ms[0].Error(), ":") || ms[0].Excerpt() != "" {
			t.Errorf("%s: a place without a file: %q", what, ms[0])
		}
		Facts(lab)
	}
}
