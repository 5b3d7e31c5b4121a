package main

import (
	"fmt"
	"strings"
)

// commands returns the fewest ip commands that make a veth pair: they create both ends in
// their namespaces.
func (c vethPair) commands() []string {
	a, b := c[0], c[1]
	if a.Host != "" {
		return []string{fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s",
			a.Device, a.Host, b.Device, b.Host)}
	}
	return []string{
		fmt.Sprintf("link add %s type veth peer name %s netns %s", a.Device, b.Device, b.Host),
		fmt.Sprintf("link set %s master %s up", a.Device, a.Bridge),
	}
}

// typedCommands returns the commands that people type: they create both ends in the
// machine, with unused names, and then move them.
func (c vethPair) typedCommands() []string {
	a, b := c[0], c[1]
	lines := []string{fmt.Sprintf("link add %s type veth peer name %s", a.initialName(), b.initialName()), b.moveCommand()}
	if a.Host != "" {
		return append(lines, a.moveCommand())
	}
	return append(lines, fmt.Sprintf("link set %s master %s", a.Device, a.Bridge), "link set "+a.Device+" up")
}

// initialName returns the name of an end in the machine, before it is moved.
func (e end) initialName() string {
	if e.Host == "" {
		return e.Device
	}
	return e.Host + "." + e.Device
}

func (e end) moveCommand() string {
	return fmt.Sprintf("link set %s netns %s name %s", e.initialName(), e.Host, e.Device)
}

// hostCommands returns the ip commands inside a host with these ends.
func (h host) hostCommands(ends []vethPair) []string {
	lines := []string{"link set lo up"}
	for _, e := range ends {
		lines = append(lines, "link set "+e[0].Device+" up", fmt.Sprintf("addr add %s brd + dev %s", e[0].Addr, e[0].Device))
	}
	return lines
}

// routeCommands returns the ip commands for a host's routes.
func (h host) routeCommands() []string {
	var lines []string
	for _, r := range h.Routes {
		lines = append(lines, fmt.Sprintf("route add %s via %s", r.destination(), r.Via))
	}
	return lines
}

// forwardingCommand returns the command that makes a host a router; nil if it is no router.
func (h host) forwardingCommand() []string {
	if !h.Forwards {
		return nil
	}
	return []string{"netns exec " + h.Name + " sysctl -qw net.ipv4.ip_forward=1"}
}

// bridgeCommands returns the ip commands that create the bridges, and those that set them
// up.
func (n network) bridgeCommands() (first, last []string) {
	for _, s := range n.Bridges {
		first = append(first, "link add "+s.Name+" type bridge")
		last = append(last, fmt.Sprintf("addr add %s brd + dev %s", s.Addr, s.Name), "link set "+s.Name+" up")
	}
	return first, last
}

// natCommands returns the shell commands for masquerade, if the network has it.
func (n network) natCommands() string {
	if !n.NAT {
		return ""
	}
	return fmt.Sprintf("iptables -t nat -A POSTROUTING -s %[1]s ! -d %[1]s -j MASQUERADE\n"+
		"sysctl -qw net.ipv4.ip_forward=1\n", n.Bridges[0].Addr.Masked())
}

// without returns the part of n that is not in had.
func (n network) without(had network) network {
	return network{Hosts: n.Hosts[len(had.Hosts):], Pairs: n.Pairs[len(had.Pairs):]}
}

// joinLines returns the commands as lines with a prefix.
func joinLines(before string, commands []string) string {
	var b strings.Builder
	for _, c := range commands {
		b.WriteString(before + c + "\n")
	}
	return b.String()
}

// script runs one ip process per step, as people do who type the commands.
func script(w workload, dir folder) job {
	n, more := w.Network(0), w.Network(w.ExtraHosts())
	return job{
		Up:   sh(dir, "up", n.script()+n.natCommands()),
		Add:  sh(dir, "add", more.without(n).script()),
		Down: sh(dir, "down", joinLines("ip ", more.removeCommands())),
	}
}

// sh writes a shell script and returns the command that runs it.
func sh(dir folder, name, text string) []string {
	return []string{"sh", dir.write(name+".sh", "set -e\n"+text)}
}

// script returns the commands that make the network, in the order in which people type them.
func (n network) script() string {
	commands, last := n.bridgeCommands()
	commands = append(commands, last...)
	for _, h := range n.Hosts {
		commands = append(commands, "netns add "+h.Name)
	}
	for _, c := range n.Pairs {
		commands = append(commands, c.typedCommands()...)
	}
	ends := n.ends()
	for _, h := range n.Hosts {
		commands = append(commands, h.forwardingCommand()...)
		for _, l := range h.hostCommands(ends[h.Name]) {
			commands = append(commands, "-n "+h.Name+" "+l)
		}
		for _, l := range h.routeCommands() {
			commands = append(commands, "netns exec "+h.Name+" ip "+l)
		}
	}
	return joinLines("ip ", commands)
}

// removeCommands returns the ip commands that remove the network.
func (n network) removeCommands() []string {
	var commands []string
	for _, h := range n.Hosts {
		commands = append(commands, "netns del "+h.Name)
	}
	for _, s := range n.Bridges {
		commands = append(commands, "link del "+s.Name)
	}
	return commands
}

// batch uses ip in the fastest way: one process for the machine, one per namespace, and
// the bridges set up last.
func batch(w workload, dir folder) job {
	n, more := w.Network(0), w.Network(w.ExtraHosts())
	down := dir.write("remove", joinLines("", more.removeCommands()))
	return job{
		Up:   sh(dir, "up", n.batch(dir, "up")+n.natCommands()),
		Add:  sh(dir, "add", more.without(n).batch(dir, "add")),
		Down: []string{"ip", "-batch", down},
	}
}

func (n network) batch(dir folder, name string) string {
	commands, last := n.bridgeCommands()
	ends := n.ends()
	var inside strings.Builder
	for _, h := range n.Hosts {
		commands = append(commands, "netns add "+h.Name)
		file := dir.write(name+"-"+h.Name, joinLines("", append(h.hostCommands(ends[h.Name]), h.routeCommands()...)))
		fmt.Fprintf(&inside, "ip -n %s -batch %s\n", h.Name, file)
	}
	for _, c := range n.Pairs {
		commands = append(commands, c.commands()...)
	}
	for _, h := range n.Hosts {
		commands = append(commands, h.forwardingCommand()...)
	}
	// ip keeps each namespace open that its commands name.
	text := fmt.Sprintf("ulimit -n $(ulimit -H -n)\nip -batch %s\n%s",
		dir.write(name+"-machine", joinLines("", commands)), inside.String())
	if len(last) > 0 {
		text += "ip -batch " + dir.write(name+"-last", joinLines("", last)) + "\n"
	}
	return text
}
