package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// helpAs prints the help. If vnet was called by the name ip, it prints to standard error and exits with 255, as ip(8)
// does.
func (s *session) helpAs(args []string) error {
	if !s.asIP {
		return s.help(args)
	}
	out := s.out
	s.out = bufio.NewWriter(s.err)
	err := errors.Join(s.help(args), s.out.Flush())
	s.out = out
	if err != nil {
		return err
	}
	return exit(exitUsage, errReported)
}

// help prints the overview, or the help of one object.
func (s *session) help(args []string) error {
	if len(args) == 0 {
		return s.overview()
	}
	if args[0] == "cheatsheet" {
		return s.cheatsheet()
	}
	for _, o := range objects() {
		if args[0] == o.name || o.short && words.Short(args[0], o.name) {
			return s.objectHelp(o)
		}
	}
	return s.unknownObject(args[0])
}

// objectHelp prints an object's help and its options.
func (s *session) objectHelp(o *object) error {
	fmt.Fprintf(s.out, "vnet %s: %s\n%s", o.name, o.usage, o.help)
	if o.lab != nil && len(o.lab.flags) > 0 {
		fmt.Fprint(s.out, "\nOptions:\n")
		t := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
		for _, f := range o.lab.flags {
			fmt.Fprintf(t, "    %s\n", f)
		}
		return t.Flush()
	}
	return nil
}

// otherNeighbor is ip(8)'s other spelling of neighbour, which the help does not repeat.
const otherNeighbor = "neighbor"

// overview prints the objects, the options and the exit codes.
func (s *session) overview() error {
	fmt.Fprint(s.out, "vnet: virtual networks, made with netlink and nftables only\n\n",
		"Usage: vnet [OPTIONS] OBJECT { COMMAND | help }\n       vnet [-force] -batch FILE\n")
	for _, g := range objectGroups() {
		fmt.Fprintf(s.out, "\n%s:\n", g.title)
		for _, o := range g.objects {
			if o.name != otherNeighbor {
				fmt.Fprintf(s.out, "    %-15s %s\n", o.name, o.usage)
			}
		}
	}
	fmt.Fprintf(s.out, "    %-15s %s\n", "help cheatsheet", "what to type instead of ip, iptables and route")
	_, err := fmt.Fprint(s.out, "\nOptions, which can be abbreviated:\n", optionList(), "\n", exitCodes, "\n",
		capabilityHelp,
		"\nvnet OBJECT help shows the syntax and examples. vnet demo shows all features in a sandbox.\n")
	return err
}

// optionList returns one line for each option.
func optionList() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, o := range words.OptionTable {
		fmt.Fprintf(t, "    -%s %s\t%s\n", o.Name, o.Value, o.Usage)
	}
	t.Flush()
	return b.String()
}

const exitCodes = `Exit codes: 0 done; 1 failed; 2 the kernel refused, or a lab file has mistakes; 3 a lab has
drift; 255 usage error. netns exec exits with the exit code of its program.
`

// A translation is a line of the cheat sheet.
type translation struct{ what, byHand, vnet string }

// cheatsheet prints what to type instead of ip, route, arp and iptables.
func (s *session) cheatsheet() error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "WHAT\tBY HAND\tWITH VNET\n")
	for _, l := range cheatsheet {
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.what, l.byHand, l.vnet)
	}
	return t.Flush()
}

// cheatsheet lists how networks are made by hand and with vnet. TestCheatsheet runs both commands of each line.
var cheatsheet = []translation{
	{"make a namespace", "ip netns add red", "vnet netns add red"},
	{"list them", "ip netns", "vnet netns"},
	{"its links", "ip netns exec red ip link", "vnet netns exec red vnet link"},
	{"its links, shorter", "ip -n red link", "vnet -n red link"},
	{"its routes", "ip netns exec red route", "vnet -n red route"},
	{"a veth pair", "ip link add veth-red type veth peer name veth-blue",
		"vnet link add veth-red type veth peer name veth-blue"},
	{"move one end", "ip link set veth-red netns red", "vnet link set veth-red netns red"},
	{"add an address", "ip -n red addr add 192.168.15.1/24 dev veth-red",
		"vnet -n red addr add 192.168.15.1/24 dev veth-red"},
	{"set it up", "ip -n red link set veth-red up", "vnet -n red link set veth-red up"},
	{"its neighbours", "ip netns exec red arp", "vnet -n red neigh"},
	{"delete a veth pair", "ip -n red link del veth-red", "vnet -n red link del veth-red"},
	{"a bridge", "ip link add v-net-0 type bridge", "vnet link add v-net-0 type bridge"},
	{"set the bridge up", "ip link set dev v-net-0 up", "vnet link set dev v-net-0 up"},
	{"add a port to it", "ip link set veth-red-br master v-net-0", "vnet link set veth-red-br master v-net-0"},
	{"an address on it", "ip addr add 192.168.15.5/24 dev v-net-0", "vnet addr add 192.168.15.5/24 dev v-net-0"},
	{"a route via it", "ip netns exec red ip route add 192.168.1.0/24 via 192.168.15.5",
		"vnet -n red route add 192.168.1.0/24 via 192.168.15.5"},
	{"a default route", "ip netns exec red ip route add default via 192.168.15.5",
		"vnet -n red route add default via 192.168.15.5"},
	{"masquerade", "iptables -t nat -A POSTROUTING -s 192.168.15.0/24 -j MASQUERADE",
		"vnet nat add masquerade -s 192.168.15.0/24"},
	{"forward a port", "iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 192.168.15.1:80",
		"vnet nat add dnat -p tcp --dport 80 --to-destination 192.168.15.1:80"},
	{"add an uplink", "ip link set eth0 master v-net-0", "vnet link set eth0 master v-net-0"},
}
