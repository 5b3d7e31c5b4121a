package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/member"
)

func attachObject() *object {
	return &object{name: "attach", usage: "attach a namespace to a network", lab: &labCommand{
		maxArgs: 1, run: (*session).attach, flags: []cli.Flag{
			text("netns", "the `NAME` or path of the namespace"), text("pid", "a `PROCESS` in the namespace"),
			text("id", "the `NAME` of the member"), text("dev", "the `LINK` in the namespace"), text("mac", "its `MAC` address"),
			list("address", "a fixed `ADDRESS`"), list("port", "a `PORT` to publish"),
			text("bridge", "the `LINK` that is the network's bridge"),
			list("subnet", "a `PREFIX` of the network"), boolean("nat", "translate to the machine's address"),
			boolean("isolate", "members do not reach each other"), text("mtu", "the `MTU` of members' links"),
			boolean("json", "print JSON"),
		}}, help: `
vnet attach NETWORK { --netns NAME|PATH | --pid PID } [--id ID] [--dev LINK]
            [--address ADDRESS]... [--mac MAC] [--port [HOSTIP:]HOST:PORT[/udp]]...
            [--subnet PREFIX]... [--nat] [--isolate] [--bridge LINK] [--mtu MTU] [--json]

Attaches a namespace to a network: a bridge of the machine with the members of the network
as its ports. The member gets a link (eth0), an address of each subnet, and a default
route. An address is free again when the namespace ends. The outside reaches no port but
those of --port. Addresses are chosen unless --address names them. The default ID is the
name of the namespace.

The first attach makes the network: --subnet, --nat, --isolate, --bridge and --mtu
describe it. The bridge has the network's name unless --bridge names another, which may
exist. Without these options, the network stays as it is; with any of them, it becomes
what they say.

   vnet attach web --netns red --subnet 10.77.0.0/24 --nat
   vnet attach web --pid 4711 --id blue --port 8080:80 --port 127.0.0.1:5353:53/udp
`}
}

func detachObject() *object {
	return &object{name: "detach", usage: "remove a member of a network, or the network", lab: &labCommand{
		maxArgs: 2, run: (*session).detach, flags: []cli.Flag{text("dev", "the `LINK` in the namespace")}}, help: `
vnet detach NETWORK [ID] [--dev LINK]

Removes what attach has made for a member. Its namespace need not exist any more. If there
is no such member, this is no error. Without an ID, it removes the network, which must not
have any members.

   vnet detach web blue
   vnet detach web
`}
}

func membersObject() *object {
	return &object{name: "members", usage: "list the members of a network", lab: &labCommand{
		maxArgs: 1, run: (*session).members, flags: []cli.Flag{&cli.BoolFlag{Name: "json", Aliases: []string{"j"},
			Usage: "print JSON", DisableDefaultText: true}}}, help: `
vnet members NETWORK [--json]

Lists the members of a network: what attach has made, with their addresses and ports.

   vnet members web
`}
}

// list is an option that can be given several times. cli.StringSliceFlag would add the code that reads JSON.
func list(name, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, Value: &texts{}}
}

// texts are the values of an option.
type texts []string

// Set adds a value.
func (t *texts) Set(text string) error {
	*t = append(*t, text)
	return nil
}

// String returns no text: there is no default.
func (t *texts) String() string { return "" }

// list returns the values of an option that can be given several times.
func (l labLine) list(name string) texts {
	t, _ := l.Generic(name).(*texts)
	return *t
}

// defaultLink is the link of a member in its namespace.
const defaultLink = "eth0"

// attach runs vnet attach.
func (s *session) attach(l labLine) error {
	if l.NArg() == 0 {
		return words.Errorf("attach needs the name of a network")
	}
	m, err := memberOf(l)
	if err != nil {
		return err
	}
	n, err := networkOf(l)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	a, err := member.Attach(ctx, n, m)
	if err != nil {
		return err
	}
	if l.Bool("json") || s.JSON {
		return json.NewEncoder(s.out).Encode(memberJSONOf(a))
	}
	return s.memberTable([]member.Attached{a})
}

// networkOf returns the network that the options describe; without any, the one that there is.
func networkOf(l labLine) (n member.Network, err error) {
	name := l.Args().First()
	given := slices.ContainsFunc([]string{"bridge", "subnet", "nat", "isolate", "mtu"}, l.IsSet)
	if !given {
		n, err = member.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return n, &hinted{err, "vnet attach " + name + " --subnet PREFIX makes it"}
		}
		return n, err
	}
	n = member.Network{Name: name, Bridge: cmp.Or(l.String("bridge"), name), DefaultRoute: true, Hairpin: true,
		Masquerade: l.Bool("nat"), Isolate: l.Bool("isolate")}
	for _, text := range l.list("subnet") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return n, words.Errorf("--subnet: expected a prefix such as 10.77.0.0/24, not %q", text)
		}
		n.Subnets = append(n.Subnets, member.Subnet{Prefix: p})
	}
	if text := l.String("mtu"); text != "" {
		mtu, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return n, words.Errorf("--mtu: expected a number, not %q", text)
		}
		n.MTU = uint32(mtu)
	}
	return n, nil
}

// memberOf returns the member that the options describe.
func memberOf(l labLine) (m member.Member, err error) {
	m = member.Member{NS: l.String("netns"), Link: cmp.Or(l.String("dev"), defaultLink)}
	if (m.NS == "") == (l.String("pid") == "") {
		return m, words.Errorf("attach needs a namespace: --netns or --pid")
	}
	m.ID = filepath.Base(m.NS)
	if pid := l.String("pid"); pid != "" {
		m.NS, m.ID = pid, "pid-"+pid
	}
	m.ID = cmp.Or(l.String("id"), m.ID)
	if text := l.String("mac"); text != "" {
		mac, err := rtnl.ParseLLAddr(text)
		if err != nil || len(mac) != len(m.MAC) {
			return m, words.Errorf("--mac: expected a MAC address such as 02:00:00:00:00:01, not %q", text)
		}
		copy(m.MAC[:], mac)
	}
	for _, text := range l.list("address") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return m, words.Errorf("--address: expected an address, not %q", text)
		}
		m.Addresses = append(m.Addresses, a)
	}
	for _, text := range l.list("port") {
		p, err := parsePort(text)
		if err != nil {
			return m, err
		}
		m.Ports = append(m.Ports, p)
	}
	return m, nil
}

// parsePort parses [HOSTIP:]HOST:PORT[/udp].
func parsePort(text string) (p member.Port, err error) {
	wrong := words.Errorf("--port: expected [HOSTIP:]HOST:PORT[/udp], such as 8080:80, not %q", text)
	rest, proto, _ := strings.Cut(text, "/")
	if p.Proto, err = nft.ParseProto(cmp.Or(proto, "tcp")); err != nil {
		return p, wrong
	}
	at := strings.LastIndexByte(rest, ':')
	if at < 0 {
		return p, wrong
	}
	own, err := strconv.ParseUint(rest[at+1:], 10, 16)
	if err != nil || own == 0 {
		return p, wrong
	}
	host := rest[:at]
	if at := strings.LastIndexByte(host, ':'); at >= 0 {
		if p.Host, err = netip.ParseAddr(strings.Trim(host[:at], "[]")); err != nil {
			return p, wrong
		}
		host = host[at+1:]
	}
	on, err := strconv.ParseUint(host, 10, 16)
	if err != nil || on == 0 {
		return p, wrong
	}
	p.HostPort, p.Port = uint16(on), uint16(own)
	return p, nil
}

// detach runs vnet detach.
func (s *session) detach(l labLine) error {
	ctx, stop := interruptible()
	defer stop()
	switch network := l.Args().First(); l.NArg() {
	case 0:
		return words.Errorf("detach needs the name of a network")
	case 1:
		err := errors.Join(member.Sweep(ctx, network, nil), member.Remove(ctx, network))
		if errors.Is(err, member.ErrMembers) {
			return &hinted{err, "vnet members " + network + " lists them"}
		}
		return err
	default:
		return member.Detach(ctx, network, member.ID{Container: l.Args().Get(1), Link: cmp.Or(l.String("dev"), defaultLink)})
	}
}

// members runs vnet members.
func (s *session) members(l labLine) error {
	if l.NArg() == 0 {
		return words.Errorf("members needs the name of a network")
	}
	ctx, stop := interruptible()
	defer stop()
	list, err := member.Members(ctx, l.Args().First())
	if err != nil {
		return err
	}
	if !l.Bool("json") && !s.JSON {
		return s.memberTable(list)
	}
	all := []memberJSON{}
	for _, a := range list {
		all = append(all, memberJSONOf(a))
	}
	return json.NewEncoder(s.out).Encode(all)
}

func (s *session) memberTable(list []member.Attached) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprint(t, "ID\tDEV\tPORT OF "+list[0].Bridge.Name+"\tADDRESSES\tPORTS\n")
	}
	for _, a := range list {
		var addrs, ports []string
		for _, p := range a.Addresses {
			addrs = append(addrs, p.Prefix.String())
		}
		for _, p := range a.Ports {
			ports = append(ports, portText(p))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", display.OneLine(a.ID), display.OneLine(a.Link.Name), a.Host.Name,
			cmp.Or(strings.Join(addrs, " "), "-"), cmp.Or(strings.Join(ports, " "), "-"))
	}
	return t.Flush()
}

// portText is the inverse of parsePort.
func portText(p member.Port) string {
	text := fmt.Sprintf("%d:%d", p.HostPort, p.Port)
	if p.Host.IsValid() {
		text = netip.AddrPortFrom(p.Host, p.HostPort).String() + ":" + strconv.Itoa(int(p.Port))
	}
	if p.Proto != nft.TCP {
		text += "/" + p.Proto.String()
	}
	return text
}

// memberJSON is a member in JSON.
type memberJSON struct {
	Network   string        `json:"network"`
	ID        string        `json:"id"`
	Dev       string        `json:"dev"`
	MAC       string        `json:"mac,omitempty"`
	MTU       uint32        `json:"mtu,omitempty"`
	Netns     string        `json:"netns,omitempty"`
	Bridge    string        `json:"bridge"`
	Port      string        `json:"port"`
	Addresses []addressJSON `json:"addresses"`
	Routes    []routeJSON   `json:"routes,omitempty"`
	Ports     []string      `json:"ports,omitempty"`
}

type addressJSON struct {
	Address string `json:"address"`
	Gateway string `json:"gateway,omitempty"`
}

type routeJSON struct {
	To  string `json:"to"`
	Via string `json:"via,omitempty"`
}

func memberJSONOf(a member.Attached) memberJSON {
	j := memberJSON{Network: a.Network, ID: a.ID, Dev: a.Link.Name, MTU: a.Link.MTU, Netns: a.NS, Bridge: a.Bridge.Name,
		Port: a.Host.Name, Addresses: []addressJSON{}}
	if a.Link.MAC != ([6]byte{}) {
		j.MAC = rtnl.LLAddr(a.Link.MAC[:]).String()
	}
	for _, p := range a.Addresses {
		j.Addresses = append(j.Addresses, addressJSON{p.Prefix.String(), addrText(p.Gateway)})
	}
	for _, r := range a.Routes {
		j.Routes = append(j.Routes, routeJSON{r.To.String(), addrText(r.Via)})
	}
	for _, p := range a.Ports {
		j.Ports = append(j.Ports, portText(p))
	}
	return j
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
