package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/member"
)

func attachObject() *object {
	return &object{name: "attach", usage: "attach a namespace to a network", lab: &labCommand{
		maxArgs: 1, run: (*session).attach, flags: []cli.Flag{
			text("netns", "the `NAME` or path of the namespace"), text("pid", "the `PID` of a process in the namespace"),
			text("id", "the `ID` of the member"), text("dev", "the `LINK` in the namespace"),
			text("mac", "the `MAC` address of this link"),
			list("address", "an `ADDRESS` of the member, instead of a free one"),
			list("port", "forward a `PORT` of the machine to the member"),
			text("bridge", "the `LINK` that is the network's bridge"), list("subnet", "a `PREFIX` of the network"),
			boolean("nat", "masquerade: packets to other networks get the machine's address"),
			boolean("isolate", "members do not reach each other"), text("mtu", "the `MTU` of members' links"),
			boolean("json", "print JSON"),
		}}, help: `
vnet attach NETWORK { --netns NAME|PATH | --pid PID } [--id ID] [--dev LINK]
            [--address ADDRESS]... [--mac MAC] [--port [HOSTIP:]HOST:PORT[/udp]]...
            [--subnet PREFIX]... [--nat] [--isolate] [--bridge LINK] [--mtu MTU] [--json]

Attaches a namespace to a network: a bridge of the machine with a port for each member.
The member gets a link (--dev; eth0 by default), an address of each subnet, and default
routes. vnet chooses the addresses; --address gives one. When the namespace ends, its
addresses and ports are free again. Other networks and machines reach only the ports of
--port. --id is the member's name for detach; by default, it is the last part of --netns,
or pid-PID.

The first attach makes the network. --subnet, --nat, --isolate, --bridge and --mtu
describe all of it: without any of them, the network stays as it is; with any of them, it
changes to what they say, but members keep the addresses that they have. The bridge has
the name of the network; --bridge gives another, also of a bridge that exists.

   vnet attach web --netns red --subnet 10.77.0.0/24 --nat
   vnet attach web --pid 4711 --id blue --port 8080:80 --port 127.0.0.1:5353:53/udp
`}
}

func detachObject() *object {
	return &object{name: "detach", usage: "remove a member of a network, or the network", lab: &labCommand{
		maxArgs: 2, run: (*session).detach, flags: []cli.Flag{text("dev", "the `LINK` in the namespace")}}, help: `
vnet detach NETWORK [ID] [--dev LINK]

Removes what attach has made for a member: its link (--dev; eth0 by default), addresses
and ports. The namespace may have ended already. If there is no such member, nothing
happens. Without an ID, it removes the network, which must not have any members: rules,
settings, and the bridge if vnet made it.

   vnet detach web blue
   vnet detach web
`}
}

func membersObject() *object {
	return &object{name: "members", usage: "list the members of a network", lab: &labCommand{
		maxArgs: 1, run: (*session).members, flags: []cli.Flag{&cli.BoolFlag{Name: "json", Aliases: []string{"j"},
			Usage: "print JSON", DisableDefaultText: true}}}, help: `
vnet members NETWORK [--json]

Lists the members of a network: ID, link in the namespace (DEV), link on the machine (the
port of the bridge), addresses, and published ports.

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
	if err := checkPorts(n, m.Ports); err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	a, err := member.Attach(ctx, n, m)
	if err != nil {
		return attachError(l, err)
	}
	if l.Bool("json") || s.JSON {
		return json.NewEncoder(s.out).Encode(memberJSONOf(a))
	}
	return s.memberTable([]member.Attached{a})
}

// attachError adds a hint to an error of attach.
func attachError(l labLine, err error) error {
	name := l.String("netns")
	switch {
	case errors.Is(err, fs.ErrExist):
		return &hinted{err, "--dev LINK attaches another link"}
	case errors.Is(err, fs.ErrNotExist) && name != "" && !strings.Contains(name, "/"):
		ns, openErr := nsfs.OpenFrom(name, name)
		if openErr != nil {
			return noNetns(name, 1, openErr)
		}
		ns.Close()
	}
	return err
}

// detach runs vnet detach.
func (s *session) detach(l labLine) error {
	ctx, stop := interruptible()
	defer stop()
	switch network := l.Args().First(); {
	case l.NArg() == 0:
		return words.Errorf("detach needs the name of a network")
	case !naming.IsLab(network): // a lock cannot have this name
		return words.Errorf("network %q: expected at most %d letters, digits, and characters of %s", network,
			naming.MaxLabName, naming.NameChars)
	case l.NArg() == 1:
		err := member.Sweep(ctx, network, nil)
		if err == nil {
			err = member.Remove(ctx, network)
		}
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
