package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A contestant makes networks in its way.
type contestant struct {
	name    string
	needs   []string // programs, by name or by path
	most    int      // hosts; with more, a round would take minutes
	prepare func(w work, dir folder) job
}

// missing is a program that the contestant needs and the machine lacks; "" if
// none is.
func (c contestant) missing() string {
	for _, p := range c.needs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// A folder is where a contestant keeps its files for one measurement.
type folder string

// write writes a file and returns its path.
func (f folder) write(name, text string) string {
	path := filepath.Join(string(f), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // a temporary folder of our own
	}
	return path
}

const cniPlugins = "/usr/lib/cni"

func contestants(tools string, slow int) []contestant {
	return []contestant{
		{name: "floor", most: 1000, prepare: floor(filepath.Join(tools, "floor"))},
		{name: "vnet", most: 10000, prepare: vnet(filepath.Join(tools, "vnet"))},
		{name: "ip -batch", most: 1000, needs: []string{"ip", "iptables"}, prepare: batch},
		{name: "ip, a process a step", most: slow, needs: []string{"ip", "iptables"}, prepare: script},
		{name: "CNI bridge", most: slow, needs: []string{cniPlugins + "/bridge"}, prepare: cni(false)},
		{name: "CNI bridge, masquerade", most: slow, needs: []string{cniPlugins + "/bridge", "iptables"}, prepare: cni(true)},
		{name: "mininet", most: min(slow, 100), needs: []string{"mn", "/usr/bin/python3"}, prepare: mininet},
	}
}

func floor(path string) func(work, folder) job {
	return func(w work, _ folder) job {
		if w.Switches != 1 {
			return job{Refused: "the floor makes one switch"}
		}
		n := fmt.Sprint(w.PerEach)
		return job{Up: []string{path, "up", n}, Down: []string{path, "down", n}}
	}
}

func vnet(path string) func(work, folder) job {
	return func(w work, dir folder) job {
		file, more := dir.write("lab.yaml", w.Lab(0)), dir.write("more.yaml", w.Lab(1))
		return job{
			Up: []string{path, "up", file}, Again: []string{path, "up", file},
			Add: []string{path, "up", more}, Down: []string{path, "down", "bench"},
		}
	}
}

// steps are the ip commands of a host; ns is how one says "in there".
func (h host) steps(ns string) (machine, inside []string) {
	machine = []string{
		"netns add " + h.Name,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", h.Name, h.Name),
		fmt.Sprintf("link set %s master %s up", h.Name, h.Switch),
	}
	for _, s := range []string{
		"link set lo up", "link set eth0 up",
		fmt.Sprintf("addr add %s brd + dev eth0", h.Addr),
		fmt.Sprintf("route add default via %s", h.Gateway.Addr()),
	} {
		inside = append(inside, ns+s)
	}
	return machine, inside
}

// switches are the ip commands that make the switches.
func (w work) switches() (first, last []string) {
	for s := range w.Switches {
		first = append(first, "link add "+switchName(s)+" type bridge")
		last = append(last, fmt.Sprintf("addr add %s brd + dev %s", gateway(s), switchName(s)), "link set "+switchName(s)+" up")
	}
	return first, last
}

// natCommands masquerade by iptables, where the work wants it.
func (w work) natCommands() string {
	if !w.NAT {
		return ""
	}
	return fmt.Sprintf("iptables -t nat -A POSTROUTING -s %[1]s ! -d %[1]s -j MASQUERADE\nsysctl -qw net.ipv4.ip_forward=1\n", gateway(0).Masked())
}

// script is the cheat sheet: one ip process a step.
func script(w work, dir folder) job {
	var up, down strings.Builder
	line := func(b *strings.Builder, args string) { b.WriteString("ip " + args + "\n") }
	first, last := w.switches()
	up.WriteString("set -e\n")
	for _, l := range append(first, last...) {
		line(&up, l)
	}
	for _, h := range w.All() {
		machine, inside := h.steps("-n " + h.Name + " ")
		for _, l := range append(machine, inside...) {
			line(&up, l)
		}
		line(&down, "netns del "+h.Name)
	}
	up.WriteString(w.natCommands())
	for s := range w.Switches {
		line(&down, "link del "+switchName(s))
	}
	return job{Up: []string{"sh", dir.write("up.sh", up.String())}, Down: []string{"sh", dir.write("down.sh", down.String())}}
}

// batch is the best that ip can do: one process for the machine, one a
// namespace, the switch up last.
func batch(w work, dir folder) job {
	first, last := w.switches()
	var up, down strings.Builder
	machine := first
	up.WriteString("set -e\nip -batch " + string(dir) + "/machine\n")
	var remove []string
	for _, h := range w.All() {
		m, inside := h.steps("")
		machine = append(machine, m...)
		remove = append(remove, "netns del "+h.Name)
		file := dir.write(h.Name, strings.Join(inside, "\n")+"\n")
		fmt.Fprintf(&up, "ip -n %s -batch %s\n", h.Name, file)
	}
	fmt.Fprintf(&up, "ip -batch %s\n%s", dir.write("last", strings.Join(last, "\n")+"\n"), w.natCommands())
	dir.write("machine", strings.Join(machine, "\n")+"\n")
	for s := range w.Switches {
		remove = append(remove, "link del "+switchName(s))
	}
	fmt.Fprintf(&down, "ip -batch %s\n", dir.write("remove", strings.Join(remove, "\n")+"\n"))
	return job{Up: []string{"sh", dir.write("up.sh", up.String())}, Down: []string{"sh", dir.write("down.sh", down.String())}}
}

// cni is Debian's bridge plugin, as a container runtime calls it: once a host.
func cni(masquerade bool) func(work, folder) job {
	return func(w work, dir folder) job {
		if w.NAT && !masquerade {
			return job{Refused: "without masquerade"}
		}
		var up, down strings.Builder
		up.WriteString("set -e\n")
		for _, h := range w.All() {
			conf := dir.write(h.Name+".json", fmt.Sprintf(
				`{"cniVersion":"1.0.0","name":%q,"type":"bridge","bridge":%q,"isGateway":true,"isDefaultGateway":true,"ipMasq":%v,
"ipam":{"type":"static","addresses":[{"address":%q,"gateway":%q}]}}`,
				h.Switch, h.Switch, masquerade, h.Addr, h.Gateway.Addr()))
			call := fmt.Sprintf("CNI_CONTAINERID=%[1]s CNI_NETNS=/run/netns/%[1]s CNI_IFNAME=eth0 CNI_PATH=%[2]s %[2]s/bridge <%[3]s", h.Name, cniPlugins, conf)
			fmt.Fprintf(&up, "ip netns add %s\nCNI_COMMAND=ADD %s >/dev/null\n", h.Name, call)
			fmt.Fprintf(&down, "CNI_COMMAND=DEL %s\nip netns del %s\n", call, h.Name)
		}
		for s := range w.Switches {
			fmt.Fprintf(&down, "ip link del %s\n", switchName(s))
		}
		return job{Up: []string{"sh", dir.write("up.sh", up.String())}, Down: []string{"sh", dir.write("down.sh", down.String())}}
	}
}

// mininet holds its hosts in processes of its own, so one program has to do it
// all; it says itself how long each half took.
func mininet(w work, dir folder) job {
	if w.NAT || w.Switches > 1 {
		return job{Refused: "made for a plain star"}
	}
	var b strings.Builder
	b.WriteString(`import json, sys, time
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
start = time.time()
net = Mininet(switch=LinuxBridge, controller=None, build=False)
s = net.addSwitch('s0')
`)
	for _, h := range w.All() {
		fmt.Fprintf(&b, "net.addLink(net.addHost(%q, ip=%q, defaultRoute='via %s'), s)\n", h.Name, h.Addr, h.Gateway.Addr())
	}
	b.WriteString(`net.build(); net.start()
up = time.time() - start
assert net.pingPair is not None and '1 received' in net.hosts[0].cmd('ping -c1 -W2 ' + net.hosts[-1].IP())
start = time.time()
net.stop()
json.dump({'Up': up, 'Down': time.time() - start}, open(sys.argv[1], 'w'))
`)
	return job{Up: []string{"/usr/bin/python3", dir.write("star.py", b.String()), filepath.Join(string(dir), "times")}, Times: filepath.Join(string(dir), "times")}
}
