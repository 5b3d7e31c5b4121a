package main

import (
	"errors"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo/live"
)

// natObject is vnet nat.
func natObject() *object {
	return &object{
		name: "nat", usage: "NAT rules: masquerade, port forwards, SNAT", help: natHelp,
		verbs: words.NATVerbs(), run: (*session).nat,
	}
}

const natHelp = `
vnet nat [show]
vnet nat { add | del } masquerade [-s NETWORK] [-o DEV] [--random-fully]
vnet nat { add | del } dnat [-p tcp|udp|sctp] [-d ADDRESS] [-i DEV] --dport PORT[-PORT][,...]
                            --to-destination ADDRESS[:PORT[-PORT]]
vnet nat { add | del } dnat [-p tcp|udp|sctp] -d ADDRESS [-i DEV] --to-destination ADDRESS
vnet nat { add | del } snat -s NETWORK [-o DEV] --to-source ADDRESS
vnet nat flush

The rules are in the nftables table "inet vnet". Adding a rule that exists is not an
error; deleting a rule that does not exist is one. If IP forwarding is off, adding a
rule turns it on. Without -d, a port of the machine itself is forwarded: for packets
from outside, from the machine (127.0.0.1 too) and from the target's own network. The
target sees the client's address. Packets inside the network are not masqueraded.
Clients that use a link-local IPv6 address (fe80::) do not reach a forwarded port: the
kernel never forwards packets with such a source. They need another address of the
machine. IPv4 link-local addresses work. Without --dport, all TCP, UDP and SCTP ports of
the address -d are forwarded, also those on which a program of the machine listens.
Ping is not forwarded. With --random-fully, each connection gets a random source port.

   vnet nat add masquerade -s 192.168.15.0/24
   vnet nat add dnat -p tcp --dport 80 --to-destination 192.168.15.2:8080
   vnet nat add dnat -p udp --dport 20000-29999 --to-destination fd00:15::2
   vnet nat add dnat -p tcp --dport 80,443 --to-destination 192.168.15.2
   vnet nat add dnat -d 198.51.100.5 --to-destination 192.168.15.2
   vnet nat add snat -s 192.168.16.0/24 -o eth0 --to-source 198.51.100.7
   vnet -n router nat show
`

// nat runs vnet nat.
func (s *session) nat(args []string) error {
	w := words.Of(args)
	switch verb := w.NATVerb(); verb {
	case "add", "delete":
		return s.natChange(verb, w)
	case "show":
		if err := noMore(w, verb); err != nil {
			return err
		}
		return s.withNFT(s.natShow)
	case "flush":
		if err := noMore(w, verb); err != nil {
			return err
		}
		return s.natFlush()
	case "help":
		return s.usage(natHelp)
	}
	return w.Err
}

// noMore returns an error if words follow a complete command.
func noMore(w *words.Words, verb string) error {
	if w.More() {
		w.Fail("nat %s takes no arguments, but %q follows", verb, w.Peek())
	}
	return w.Err
}

func (s *session) natChange(verb string, w *words.Words) error {
	rules, notes := w.NATRules(s.Family)
	if w.Err != nil {
		return w.Err
	}
	for _, note := range notes {
		s.note("%s", note)
	}
	ns, err := s.namespace()
	if err != nil {
		return err
	}
	change := live.AddNAT
	if verb == "delete" {
		change = live.DeleteNAT
	}
	report, err := change(ns, live.NATTable, rules...)
	return s.natReport(report, err)
}

// natReport prints what else a change of rules changed, and returns its error.
func (s *session) natReport(report live.NATReport, err error) error {
	for _, c := range report.Settings {
		s.note("%s", c)
	}
	for _, c := range report.Conflicts {
		s.note("%v", c)
	}
	for _, d := range report.Drops {
		s.hint("%s %s forwarded packets; add a rule to it that accepts these", d, d.Verb())
	}
	for _, lab := range report.Labs {
		s.note("the rules of lab %s stay; vnet down %s deletes them", lab, lab)
	}
	return natError(err)
}

func (s *session) natShow(c *nft.Conn) error {
	rules, err := c.Read(live.NATTable)
	if err != nil {
		return err
	}
	return show.NAT(s.out, rules, s.style())
}

// natFlush deletes all rules. An empty table is not an error.
func (s *session) natFlush() error {
	ns, err := s.namespace()
	if err != nil {
		return err
	}
	report, err := live.FlushNAT(ns, live.NATTable)
	return s.natReport(report, err)
}

// withNFT runs fn with a socket in the namespace that the command works in.
func (s *session) withNFT(fn func(*nft.Conn) error) error {
	ns, err := s.namespace()
	if err != nil {
		return err
	}
	c, err := nft.Dial(ns)
	if err != nil {
		return natError(err)
	}
	defer c.Close()
	return natError(fn(c))
}

// natError sets ip(8)'s exit code for a request that the kernel refused.
func natError(err error) error {
	var e *nft.Error
	if errors.As(err, &e) {
		return exit(exitKernel, err)
	}
	return err
}
