package show

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// natJSON is a rule of vnet nat in JSON. Empty fields are left out.
type natJSON struct {
	Kind        string `json:"kind"`
	Source      string `json:"source,omitempty"`
	Out         string `json:"out,omitempty"`
	ToSource    string `json:"to_source,omitempty"`
	Random      bool   `json:"random_fully,omitempty"`
	Protocol    string `json:"protocol,omitempty"`
	Destination string `json:"destination,omitempty"`
	In          string `json:"in,omitempty"`
	Port        uint16 `json:"dport,omitempty"`
	PortLast    uint16 `json:"dport_last,omitempty"`
	To          string `json:"to_destination,omitempty"`
	ToPort      uint16 `json:"to_port,omitempty"`
	Rule        string `json:"rule,omitempty"` // only for kind other: the rule in nft's syntax
	Packets     uint64 `json:"packets"`
	Bytes       uint64 `json:"bytes"`
}

// NAT prints rules with their counters. In text, a rule is the arguments of vnet nat add. Rules that other programs
// added to the table are printed, too.
func NAT(w io.Writer, rules []nft.CountedRule, style Style) error {
	list := make([]natJSON, 0, len(rules))
	for _, r := range rules {
		if style.showsFamily(r.Rule) {
			list = append(list, natFields(r))
		}
	}
	if style.JSON {
		return JSON(w, list, style.Pretty)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, j := range list {
		fmt.Fprintf(t, "%s\tpackets %d bytes %d\n", Name(j.words()), j.Packets, j.Bytes)
	}
	return t.Flush()
}

// natFields returns the fields of a rule. A rule that vnet nat cannot make has the kind other.
func natFields(r nft.CountedRule) natJSON {
	j := natJSON{Packets: r.Packets, Bytes: r.Bytes}
	switch r := r.Rule.(type) {
	case nft.Masquerade:
		j.Kind, j.Source, j.Out, j.Random = "masquerade", prefixText(r.Source), r.Out, r.Random
	case nft.SourceNAT:
		j.Kind, j.Source, j.Out, j.ToSource = "snat", prefixText(r.Source), r.Out, r.To.String()
	case nft.Forward:
		j.Kind, j.Protocol, j.In = "dnat", r.Proto.String(), r.In
		if r.Addr.IsValid() {
			j.Destination = r.Addr.String()
		}
		j.Port, j.To, j.ToPort = r.Ports.First, r.To.String(), r.ToPort
		if r.Ports.Last != r.Ports.First {
			j.PortLast = r.Ports.Last
		}
	default:
		j.Kind, j.Rule = "other", r.String()
	}
	return j
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// words returns the arguments of vnet nat add for a rule. For kind other it is nft's syntax.
func (j natJSON) words() string {
	if j.Rule != "" {
		return j.Rule
	}
	var b strings.Builder
	b.WriteString(j.Kind)
	option := func(word, value string) {
		if value != "" {
			b.WriteString(" " + word + " " + value)
		}
	}
	option("-s", j.Source)
	option("-o", j.Out)
	option("--to-source", j.ToSource)
	if j.Random {
		b.WriteString(" --random-fully")
	}
	if j.Kind == "dnat" {
		option("-p", j.Protocol)
		option("-d", j.Destination)
		option("-i", j.In)
		option("--dport", natPorts(j.Port, j.PortLast))
		option("--to-destination", j.target())
	}
	return b.String()
}

// target returns the target address, with the ports if they differ from the forwarded ports.
func (j natJSON) target() string {
	if j.ToPort == j.Port {
		return j.To
	}
	to := j.To
	if strings.Contains(to, ":") {
		to = "[" + to + "]"
	}
	last := uint16(0)
	if j.PortLast != 0 {
		last = j.ToPort + (j.PortLast - j.Port)
	}
	return to + ":" + natPorts(j.ToPort, last)
}

func natPorts(first, last uint16) string {
	if last == 0 {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// showsFamily reports whether a rule has the selected family.
func (s Style) showsFamily(r nft.Rule) bool {
	var a netip.Addr
	switch r := r.(type) {
	case nft.Masquerade:
		a = r.Source.Addr()
	case nft.SourceNAT:
		a = r.To
	case nft.Forward:
		a = r.To
	}
	switch {
	case !a.IsValid():
		return true
	case s.Family == unix.AF_INET:
		return a.Is4()
	case s.Family == unix.AF_INET6:
		return a.Is6()
	}
	return true
}
