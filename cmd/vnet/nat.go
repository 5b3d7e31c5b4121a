package main

import (
	"errors"
	"io/fs"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

// natObject is vnet nat.
func natObject() object {
	return object{
		name: "nat", usage: "masquerade, and ports forwarded to other hosts", help: natHelp,
		verbs: words.NATVerbs(), run: (*session).nat,
	}
}

const natHelp = `
vnet nat [show]
vnet nat { add | del } masquerade [-s NETWORK] [-o DEV]
vnet nat { add | del } dnat [-p tcp|udp|sctp] [-d ADDRESS] [-i DEV] --dport PORT[-PORT]
                            --to-destination ADDRESS[:PORT[-PORT]]
vnet nat { add | del } snat -s NETWORK [-o DEV] --to-source ADDRESS
vnet nat flush

What was added is kept in the nftables table "inet vnet". A rule that is there
already is no error; one that is not there cannot be deleted. Forwarding is turned
on where it is off. Without -d a port is forwarded that is addressed to the machine
itself, from outside, from the machine (127.0.0.1 too) and from the target's own
network; the target sees who asks. What stays inside is not masqueraded.

   vnet nat add masquerade -s 192.168.15.0/24
   vnet nat add dnat -p tcp --dport 80 --to-destination 192.168.15.2:8080
   vnet nat add dnat -p udp --dport 20000-29999 --to-destination fd00:15::2
   vnet nat add snat -s 192.168.16.0/24 -o eth0 --to-source 198.51.100.7
   vnet -n router nat show
`

// nat carries out vnet nat.
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
		return s.withNFT(natFlush)
	case "help":
		return s.usage(natHelp)
	}
	return w.Err
}

// noMore refuses words behind a complete command.
func noMore(w *words.Words, verb string) error {
	if w.More() {
		w.Fail("nat %s takes no more words, as %q", verb, w.Peek())
	}
	return w.Err
}

func (s *session) natChange(verb string, w *words.Words) error {
	rules := w.NATRules(s.Family)
	if w.Err != nil {
		return w.Err
	}
	if verb == "delete" {
		return s.withNFT(func(c *nft.Conn) error { return c.Apply(topo.NATTable, rules, nil) })
	}
	ns, err := s.namespace()
	if err != nil {
		return err
	}
	report, err := topo.AddNAT(ns, topo.NATTable, rules...)
	for _, c := range report.Settings {
		s.note("%s", c)
	}
	for _, chain := range report.Drops {
		s.hint("%s drops forwarded packets that it has no rule for; it needs one that accepts these", chain)
	}
	return natError(err)
}

func (s *session) natShow(c *nft.Conn) error {
	rules, err := c.Read(topo.NATTable)
	if err != nil {
		return err
	}
	return show.NAT(s.out, rules, s.style())
}

// natFlush deletes all rules, if there are any.
func natFlush(c *nft.Conn) error {
	if err := c.DeleteTable(topo.NATTable); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
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

// natError gives what the kernel refused the exit code of what it refused ip.
func natError(err error) error {
	var e *nft.Error
	if errors.As(err, &e) {
		return exit(exitKernel, err)
	}
	return err
}
