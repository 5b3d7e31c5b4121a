package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo/live/member"
)

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
	if len(l.list("subnet")) == 0 {
		if err := keepsSubnets(name); err != nil {
			return n, err
		}
		if l.Bool("nat") {
			return n, words.Errorf("--nat needs --subnet: it translates the addresses of the network's subnets")
		}
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
	if err := rtnl.CheckLinkName(n.Bridge); len(name) > naming.MaxLinkName && l.String("bridge") == "" {
		return n, &words.Error{Text: fmt.Sprintf("network %s: bridge: %v", name, err),
			Hint: "--bridge LINK gives the bridge a name of its own"}
	}
	return n, nil
}

// keepsSubnets returns an error if a network exists that would lose its subnets, because no option names them.
func keepsSubnets(name string) error {
	n, err := member.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil || len(n.Subnets) == 0:
		return err
	}
	var all []string
	for _, s := range n.Subnets {
		all = append(all, "--subnet "+s.Prefix.String())
	}
	return &words.Error{Text: "network " + name + " would lose its subnets: these options describe all of the network",
		Hint: "also give " + strings.Join(all, " ")}
}

// checkPorts returns an error if a port of one address of the machine leads to no member, because the network has no
// subnet of this family.
func checkPorts(n member.Network, ports []member.Port) error {
	for _, p := range ports {
		same := func(s member.Subnet) bool { return s.Prefix.Addr().Is4() == p.Host.Is4() }
		if !p.Host.IsValid() || slices.ContainsFunc(n.Subnets, same) {
			continue
		}
		family := "IPv6"
		if p.Host.Is4() {
			family = "IPv4"
		}
		return words.Errorf("--port %s: network %s has no %s subnet", portText(p), n.Name, family)
	}
	return nil
}

// memberOf returns the member that the options describe.
func memberOf(l labLine) (m member.Member, err error) {
	m = member.Member{NS: l.String("netns"), Link: cmp.Or(l.String("dev"), defaultLink)}
	pid := l.String("pid")
	switch m.ID = filepath.Base(m.NS); {
	case m.NS == "" && pid == "":
		return m, words.Errorf("attach needs a namespace: --netns or --pid")
	case m.NS != "" && pid != "":
		return m, words.Errorf("--netns and --pid exclude each other")
	case pid != "":
		if _, err := strconv.ParseUint(pid, 10, 31); err != nil {
			return m, &words.Error{Text: fmt.Sprintf("--pid: expected the number of a process, not %q", pid),
				Hint: "--netns has the name of a namespace"}
		}
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
