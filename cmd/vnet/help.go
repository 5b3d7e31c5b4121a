package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// help prints what there is, or what one object does.
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

// objectHelp prints what an object does, and its options.
func (s *session) objectHelp(o object) error {
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

// overview is the first page: the objects, the options and the exit codes.
func (s *session) overview() error {
	fmt.Fprint(s.out, "vnet: virtual networks, through netlink and nftables alone\n\n",
		"Usage: vnet [OPTIONS] OBJECT { COMMAND | help }\n       vnet [-force] -batch FILE\n\nObjects:\n")
	t := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	for _, o := range objects() {
		fmt.Fprintf(t, "  %s\t%s\n", o.name, o.usage)
	}
	fmt.Fprint(t, "  help cheatsheet\twhat to type instead of ip, iptables and route\n")
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(s.out, "\nOptions, any beginning of the word will do:\n", optionList(), "\n", exitCodes, "\nvnet OBJECT help tells more, with examples. vnet demo shows it all, without harm.\n")
	return err
}

// optionList explains the options, a line each.
func optionList() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, o := range words.OptionTable {
		fmt.Fprintf(t, "    -%s %s\t%s\n", o.Name, o.Value, o.Usage)
	}
	t.Flush()
	return b.String()
}

const exitCodes = `Exit codes: 0 done; 1 something could not be done; 2 the kernel refused, or a lab file has mistakes;
3 a lab has drifted; 255 the command line means nothing. netns exec exits as its program does.
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

// cheatsheet is how isolated networks are made by hand, and with vnet. Each line
// is run by both in TestCheatsheet.
var cheatsheet = []translation{
	{"make a namespace", "ip netns add red", "vnet netns add red"},
	{"list them", "ip netns", "vnet netns"},
	{"its links", "ip netns exec red ip link", "vnet netns exec red vnet link"},
	{"its links, shorter", "ip -n red link", "vnet -n red link"},
	{"its routes", "ip netns exec red route", "vnet -n red route"},
	{"a cable", "ip link add veth-red type veth peer name veth-blue", "vnet link add veth-red type veth peer name veth-blue"},
	{"plug it in", "ip link set veth-red netns red", "vnet link set veth-red netns red"},
	{"address it", "ip -n red addr add 192.168.15.1/24 dev veth-red", "vnet -n red addr add 192.168.15.1/24 dev veth-red"},
	{"raise it", "ip -n red link set veth-red up", "vnet -n red link set veth-red up"},
	{"who is where", "ip netns exec red arp", "vnet -n red neigh"},
	{"delete a cable", "ip -n red link del veth-red", "vnet -n red link del veth-red"},
	{"a switch", "ip link add v-net-0 type bridge", "vnet link add v-net-0 type bridge"},
	{"raise the switch", "ip link set dev v-net-0 up", "vnet link set dev v-net-0 up"},
	{"one end on the switch", "ip link set veth-red-br master v-net-0", "vnet link set veth-red-br master v-net-0"},
	{"the machine joins", "ip addr add 192.168.15.5/24 dev v-net-0", "vnet addr add 192.168.15.5/24 dev v-net-0"},
	{"a route through it", "ip netns exec red ip route add 192.168.1.0/24 via 192.168.15.5", "vnet -n red route add 192.168.1.0/24 via 192.168.15.5"},
	{"a default route", "ip netns exec red ip route add default via 192.168.15.5", "vnet -n red route add default via 192.168.15.5"},
	{"outside answers", "iptables -t nat -A POSTROUTING -s 192.168.15.0/24 -j MASQUERADE", "vnet nat add masquerade -s 192.168.15.0/24"},
	{"forward a port", "iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 192.168.15.1:80", "vnet nat add dnat -p tcp --dport 80 --to-destination 192.168.15.1:80"},
	{"expose the network", "ip link set eth0 master v-net-0", "vnet link set eth0 master v-net-0"},
}
