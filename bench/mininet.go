package main

import (
	"fmt"
	"strings"
)

// mininet keeps each host in a child process, so one program must bring the network up
// and down. When the network is up, it prints the pids of the hosts. It takes the network
// down when its standard input ends.
func mininet(w workload, dir folder) job {
	n := w.Network(0)
	var b strings.Builder
	b.WriteString(`import json, sys
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
net = Mininet(switch=LinuxBridge, controller=None, build=False)
`)
	for _, s := range n.Bridges {
		fmt.Fprintf(&b, "%s = net.addSwitch(%q)\n", s.Name, s.Name)
	}
	for i, c := range n.Pairs {
		fmt.Fprintf(&b, "net.addLink(net.addHost(%q, ip=%q, defaultRoute='via %s'), %s)\n",
			c[1].Host, c[1].Addr, n.Hosts[i].Routes[0].Via, c[0].Bridge)
	}
	b.WriteString("net.build(); net.start()\n")
	for _, s := range n.Bridges {
		fmt.Fprintf(&b, "%s.cmd('ip addr add %s brd + dev %s')\n", s.Name, s.Addr, s.Name)
	}
	b.WriteString("print(json.dumps({h.name: h.pid for h in net.hosts}), flush=True)\nsys.stdin.readline()\nnet.stop()\n")
	return job{Up: []string{"/usr/bin/python3", dir.write("net.py", b.String())}, Holds: true}
}
