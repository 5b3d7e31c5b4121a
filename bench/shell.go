package main

import (
	"fmt"
	"strings"
)

// machine are the fewest ip commands that make a cable: both ends are made where they
// belong.
func (c cable) machine() []string {
	a, b := c[0], c[1]
	if a.Host != "" {
		return []string{fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s", a.Link, a.Host, b.Link, b.Host)}
	}
	return []string{
		fmt.Sprintf("link add %s type veth peer name %s netns %s", a.Link, b.Link, b.Host),
		fmt.Sprintf("link set %s master %s up", a.Link, a.Switch),
	}
}

// typed are the cheat sheet's: both ends are born in the machine, under names that
// are free there, and brought to where they belong.
func (c cable) typed() []string {
	a, b := c[0], c[1]
	lines := []string{fmt.Sprintf("link add %s type veth peer name %s", a.born(), b.born()), b.brought()}
	if a.Host != "" {
		return append(lines, a.brought())
	}
	return append(lines, fmt.Sprintf("link set %s master %s", a.Link, a.Switch), "link set "+a.Link+" up")
}

// born is what an end is called in the machine.
func (e end) born() string {
	if e.Host == "" {
		return e.Link
	}
	return e.Host + "." + e.Link
}

func (e end) brought() string {
	return fmt.Sprintf("link set %s netns %s name %s", e.born(), e.Host, e.Link)
}

// inside are the ip commands of a host with these ends.
func (h host) inside(ends []cable) []string {
	lines := []string{"link set lo up"}
	for _, e := range ends {
		lines = append(lines, "link set "+e[0].Link+" up", fmt.Sprintf("addr add %s brd + dev %s", e[0].Addr, e[0].Link))
	}
	return lines
}

// ways are the ip commands for a host's routes.
func (h host) ways() []string {
	var lines []string
	for _, r := range h.Routes {
		lines = append(lines, fmt.Sprintf("route add %s via %s", r.words(), r.Via))
	}
	return lines
}

// forward is the ip command that makes a host a router; there is none if it is
// not one.
func (h host) forward() []string {
	if !h.Forwards {
		return nil
	}
	return []string{"netns exec " + h.Name + " sysctl -qw net.ipv4.ip_forward=1"}
}

// switches are the ip commands that make the switches, and complete them.
func (n network) switches() (first, last []string) {
	for _, s := range n.Switches {
		first = append(first, "link add "+s.Name+" type bridge")
		last = append(last, fmt.Sprintf("addr add %s brd + dev %s", s.Addr, s.Name), "link set "+s.Name+" up")
	}
	return first, last
}

// nat are the shell commands that masquerade, where the network wants it.
func (n network) nat() string {
	if !n.NAT {
		return ""
	}
	return fmt.Sprintf("iptables -t nat -A POSTROUTING -s %[1]s ! -d %[1]s -j MASQUERADE\nsysctl -qw net.ipv4.ip_forward=1\n", n.Switches[0].Addr.Masked())
}

// added is what the network has beyond what it had.
func (n network) added(had network) network {
	return network{Hosts: n.Hosts[len(had.Hosts):], Cables: n.Cables[len(had.Cables):]}
}

// lines are the commands of a shell script.
func lines(before string, commands []string) string {
	var b strings.Builder
	for _, c := range commands {
		b.WriteString(before + c + "\n")
	}
	return b.String()
}

// script is the cheat sheet: one ip process a step.
func script(w work, dir folder) job {
	n, more := w.Network(0), w.Network(w.Grows())
	return job{
		Up:   sh(dir, "up", n.script()+n.nat()),
		Add:  sh(dir, "add", more.added(n).script()),
		Down: sh(dir, "down", lines("ip ", more.remove())),
	}
}

// sh is the command that runs a script.
func sh(dir folder, name, text string) []string {
	return []string{"sh", dir.write(name+".sh", "set -e\n"+text)}
}

// script is what makes the network, in the cheat sheet's words and order: how one
// would type it.
func (n network) script() string {
	commands, last := n.switches()
	commands = append(commands, last...)
	for _, h := range n.Hosts {
		commands = append(commands, "netns add "+h.Name)
	}
	for _, c := range n.Cables {
		commands = append(commands, c.typed()...)
	}
	ends := n.ends()
	for _, h := range n.Hosts {
		commands = append(commands, h.forward()...)
		for _, l := range h.inside(ends[h.Name]) {
			commands = append(commands, "-n "+h.Name+" "+l)
		}
		for _, l := range h.ways() {
			commands = append(commands, "netns exec "+h.Name+" ip "+l)
		}
	}
	return lines("ip ", commands)
}

// remove are the ip commands that take the network away.
func (n network) remove() []string {
	var commands []string
	for _, h := range n.Hosts {
		commands = append(commands, "netns del "+h.Name)
	}
	for _, s := range n.Switches {
		commands = append(commands, "link del "+s.Name)
	}
	return commands
}

// batch is the best that ip can do: one process for the machine, one a
// namespace, the switches up last.
func batch(w work, dir folder) job {
	n, more := w.Network(0), w.Network(w.Grows())
	down := dir.write("remove", lines("", more.remove()))
	return job{
		Up:   sh(dir, "up", n.batch(dir, "up")+n.nat()),
		Add:  sh(dir, "add", more.added(n).batch(dir, "add")),
		Down: []string{"ip", "-batch", down},
	}
}

func (n network) batch(dir folder, name string) string {
	commands, last := n.switches()
	ends := n.ends()
	var inside strings.Builder
	for _, h := range n.Hosts {
		commands = append(commands, "netns add "+h.Name)
		file := dir.write(name+"-"+h.Name, lines("", append(h.inside(ends[h.Name]), h.ways()...)))
		fmt.Fprintf(&inside, "ip -n %s -batch %s\n", h.Name, file)
	}
	for _, c := range n.Cables {
		commands = append(commands, c.machine()...)
	}
	for _, h := range n.Hosts {
		commands = append(commands, h.forward()...)
	}
	// ip keeps each namespace open that it was told of.
	text := fmt.Sprintf("ulimit -n $(ulimit -H -n)\nip -batch %s\n%s", dir.write(name+"-machine", lines("", commands)), inside.String())
	if len(last) > 0 {
		text += "ip -batch " + dir.write(name+"-last", lines("", last)) + "\n"
	}
	return text
}
