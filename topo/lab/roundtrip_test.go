package lab

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/topo"
)

// roundTripLabs are features of the lab file that no example uses, each in a minimal lab.
var roundTripLabs = map[string]string{
	"no network": `hosts: {red: {}}`,
	"devices": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"], gateway: none}}
hosts:
  red:
    networks: [n0]
    devices:
      d0: {type: dummy, addresses: [10.9.0.1/32, "fd09::1/128"], mtu: 9000, mac: "02:00:00:00:00:09"}
      v7: {type: vlan, parent: eth0, id: 7}
      m0: {type: macvlan, parent: eth0, mode: private}
      m1: {type: macvlan, parent: eth0}
      x0: {type: vxlan, id: 7, local: 10.0.0.1, remote: 10.0.0.3, port: 4790}
      x1: {type: vxlan, id: 8, parent: eth0, remote: "fd00::3"}
  blue:
    networks: [n0]
    devices: {i0: {type: ipvlan, parent: eth0, mode: l3s}}`,
	"devices on a link of the machine": `hosts:
  red: {devices: {m0: {type: macvlan, parent: "machine:up0", mode: vepa}}}
  blue: {devices: {i0: {type: ipvlan, parent: "machine:up0"}}}`,
	"addresses of lo": `hosts:
  red:
    devices: {d0: {type: dummy}, lo: {addresses: [10.9.0.1/24, "fd09::1/128"]}}
    routes: [10.8.0.0/16 dev d0 src 10.9.0.1]
  machine: {devices: {lo: {addresses: [10.9.0.2/32]}}}`,
	"bridge in a host": `networks: {n0: {subnets: [10.0.0.0/24], in: red, stp: true, mtu: 1400, mac: "02:00:00:00:00:01"}}
hosts: {red: {}, blue: {networks: [n0]}}`,
	"options of a bridge": `networks:
  n0: {stp: true, forward_delay: 2s, hello_time: 1s, max_age: 6.5s, ageing_time: 0s, priority: 0, mcast_snooping: false}
  n1: {group_fwd_mask: [lldp, 0x8010], mcast_querier: true, ageing_time: 1h}
  n2: {group_fwd_mask: eapol, mcast_snooping: true, priority: 32768}`,
	"uplink": `networks: {n0: {subnets: [10.0.0.0/24], uplink: up0}}
hosts: {blue: {networks: [n0]}}`,
	"IPv6 only": `networks: {n0: {subnets: ["fd00::/64"], nat: true}}
hosts: {web: {networks: [n0], ports: ["8080:80", "[2001:db8::1]:53:5353/udp", "9000-9010:9000-9010"]}}`,
	"ports of one family": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"], nat: true}}
hosts: {web: {networks: [n0], ports: ["0.0.0.0:80:8080", "[::]:81:8081", "82:8082", "127.0.0.1:83:8083"]}}`,
	"source NAT address": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"], nat: [192.0.2.1, "2001:db8::1"]}}
hosts: {red: {networks: [n0]}}`,
	"antispoof": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"], antispoof: true}}
hosts:
  red:
    networks: [n0]
    devices:
      m0: {type: macvlan, parent: eth0, addresses: [10.9.0.77/24]}
      m1: {type: macvlan, parent: eth0}
  blue: {networks: {n0: {address: [10.0.0.9, "fd00::9"], mac: "02:00:00:00:00:09"}}, router: true}
  green: {networks: [n0], devices: {lo: {addresses: [10.9.0.78/32, "fd09::78/128"]}}}`,
	"isolated networks": `networks:
  n0: {subnets: [10.0.0.0/24], isolate: [n1]}
  n1: {subnets: [10.0.1.0/24]}
  n2: {subnets: [10.0.2.0/24]}
hosts: {red: {networks: [n0, n1, n2]}}`,
	"impairments": `networks: {n0: {subnets: [10.0.0.0/24]}}
hosts:
  red: {networks: {n0: {impair: {delay: 1500us, jitter: 2ms, loss: 0.25, rate: 1500bit}}}}
  blue: {networks: {n0: {impair: {rate: 10mbit}, offload: off}}}
links:
  - {endpoints: [red:c0, blue:c0], impair: {rate: 2500kbit, loss: 12.5}, mtu: 1280}`,
	"links": `hosts: {red: {}, blue: {}}
links:
  - {endpoints: [red:c0, blue:c0], macs: ["02:00:00:00:00:01", "02:00:00:00:00:02"], offload: off}
  - {endpoints: [red:c1, blue:c1], addresses: [[10.9.0.1/24, "fd09::1/64"], []]}
  - {endpoints: [red:c2, blue:c2], impair: {delay: 5ms}, offload: off, mtu: 1300, addresses: [[], ["fd08::1/64"]]}`,
	"routed to all": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"], routed: true}}
hosts: {red: {networks: [n0]}}`,
	"routed to some": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"], routed: [10.0.0.0/8, "fd00::/8"]}}
hosts: {red: {networks: [n0]}}`,
	"proxy entries": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"], antispoof: true}}
hosts:
  red: {networks: [n0], router: true, neighbours: [proxy 10.0.0.9 dev eth0, "proxy fd00::9 dev eth0"]}
  machine: {neighbours: ["proxy 2001:db8::7 dev wan.7"], sysctls: {net.ipv6.conf.wan/7.proxy_ndp: "0"}}`,
	"routes": `networks: {n0: {subnets: [10.0.0.0/24, "fd00::/64"]}}
hosts:
  red:
    networks: {n0: {address: [10.0.0.7, "fd00::7"], mac: "02:00:00:00:00:07", name: lan}}
    routes:
      - 10.1.0.0/16 via 10.0.0.1
      - "fd01::/64 via fd00::1 metric 7"
      - blackhole 10.2.0.0/16
      - 10.3.0.0/16 dev lan mtu 1400
    rules:
      - from 10.0.0.0/8 to 10.9.0.1 lookup 7 suppress_prefixlength 0 suppress_ifgroup 3
      - not iif lan oif lo ipproto udp sport 1-2 dport 53 uidrange 0-0 prohibit
      - -6 priority 200 fwmark 0x7/0xff tos 0x10 goto 300
      - l3mdev
      - -4 fwmark 0x1 lookup main
      - "priority 300 from fd00::7 lookup local"
    neighbours: ["10.0.0.9 lladdr 02:00:00:00:00:09 dev lan"]
    sysctls: {net.ipv4.conf.all.rp_filter: "2"}
    aliases: [rosso]
    dns: {servers: [10.0.0.1], search: [lan.test]}
    run: ["true"]`,
}

// TestRoundTripFormat parses what Format writes, and expects the same lab.
func TestRoundTripFormat(t *testing.T) {
	for name, text := range roundTripLabs {
		t.Run(name, func(t *testing.T) {
			topology := mustParse(t, "lab.yaml", text)
			written := Format(topology)
			if diff := cmp.Diff(topology, mustParse(t, "lab.yaml", written), equalTopology); diff != "" {
				t.Errorf("after Format (-want +got):\n%s\n%s", diff, written)
			}
		})
	}
}

// TestRoundTripExport exports what a lab compiles to. The exported lab compiles to the same state,
// and no object is left over.
func TestRoundTripExport(t *testing.T) {
	for name, text := range roundTripLabs {
		t.Run(name, func(t *testing.T) {
			lab := mustParse(t, "lab.yaml", text)
			if err := lab.fillBridgeNetfilter(func() (bool, error) { return true, nil }); err != nil {
				t.Fatal(err)
			}
			state, err := Compile(lab)
			if err != nil {
				t.Fatal(err)
			}
			topology, rest := Export("lab", state)
			if len(rest) > 0 {
				t.Errorf("left over:\n%s\n%s", strings.Join(rest, "\n"), Format(topology))
			}
			if topology.BridgeNetfilter != lab.BridgeNetfilter {
				t.Errorf("BridgeNetfilter is %t", topology.BridgeNetfilter)
			}
			exported := mustParse(t, "lab.yaml", Format(topology))
			exported.BridgeNetfilter = lab.BridgeNetfilter
			again, err := Compile(exported)
			if err != nil {
				t.Fatal(err)
			}
			if plan := topo.Diff(again, state); len(plan) > 0 {
				t.Errorf("another state:\n%v\n%s", plan, Format(topology))
			}
		})
	}
}
