package lab

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo/lab/internal/subnet"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// A Forward forwards ports to a host or an address (DNAT).
type Forward struct {
	Listen      netip.Addr // only packets to this address; invalid means any address of the gateway
	First, Last uint16     // the ports of the gateway, both included
	Host        string     // the target host; "" if To is set
	To          netip.Addr // a target address instead of a host
	ToFirst     uint16     // the target port of First; a range keeps its order
	Proto       string     // tcp, udp or sctp

	at syntax.Pos
}

const (
	hostForwardForm = `write "8080:80", "127.0.0.1:8000-8010:80-90" or "[fd00::1]:53:53/udp": ` +
		`address to listen on, port of the gateway, port of the host, protocol`
	routerForwardForm = `write "8080:web:80" or "203.0.113.1:53:10.0.0.2:53/udp": ` +
		`address to listen on, port of the router, target, port of the target, protocol`
)

var portsKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) {
		for _, p := range f.Ports {
			h.Ports = append(h.Ports, p.Forward)
		}
	},
	check:  func(k *checker, h *Host) { k.notOnMachine(h, "ports", len(h.Ports) > 0) },
	format: func(h *Host, m *syntax.Mapping) { m.List("ports", display.Texts(h.Ports, Forward.String)) },
}

func (p *hostForward) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, &p.Forward, hostForwardForm, parseHostForward)
	p.at = syntax.PosOf(n)
}

func (p *routerForward) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, &p.Forward, routerForwardForm, parseRouterForward)
	p.at = syntax.PosOf(n)
}

// parseHostForward reads a port forward, written as in Compose:
// [[LISTEN:]PORT:]PORT[/PROTO]. A port is a number or a range.
func parseHostForward(s string) (Forward, error) {
	parts, p, err := portParts(s)
	if err != nil {
		return p, err
	}
	if len(parts) == 3 {
		if p.Listen, err = bracketAddr(parts[0]); err != nil {
			message := fmt.Sprintf("%q: %q is not an address to listen on", s, parts[0])
			return p, syntax.Invalid(parts[0], message, hostForwardForm)
		}
		parts = parts[1:]
	}
	if len(parts) == 0 || len(parts) > 2 {
		return p, syntax.Invalid(s, fmt.Sprintf("%q is not a port forward", s), hostForwardForm)
	}
	return withPorts(p, s, parts[0], parts[len(parts)-1])
}

// parseRouterForward reads a port forward of a router: [LISTEN:]PORT:TO[:PORT][/PROTO].
func parseRouterForward(s string) (Forward, error) {
	parts, p, err := portParts(s)
	if err != nil {
		return p, err
	}
	if len(parts) > 1 {
		if a, err := bracketAddr(parts[0]); err == nil {
			p.Listen, parts = a, parts[1:]
		}
	}
	if len(parts) < 2 || len(parts) > 3 || parts[1] == "" {
		return p, syntax.Invalid(s, fmt.Sprintf("%q is not a port forward", s), routerForwardForm)
	}
	if p.To, err = bracketAddr(parts[1]); err != nil {
		p.Host = parts[1]
	}
	to := parts[0]
	if len(parts) == 3 {
		to = parts[2]
	}
	return withPorts(p, s, parts[0], to)
}

// portParts splits s at the colons outside brackets and cuts off the protocol.
func portParts(s string) ([]string, Forward, error) {
	p := Forward{Proto: "tcp"}
	ports, proto, has := strings.Cut(s, "/")
	if has {
		p.Proto = proto
		if proto != "tcp" && proto != "udp" && proto != "sctp" {
			known := []string{"tcp", "udp", "sctp"}
			message := fmt.Sprintf("%q: unknown protocol %q", s, proto)
			return nil, p, syntax.Invalid(proto, message, spell.DidYouMean(proto, known))
		}
	}
	var parts []string
	start, inside := 0, false
	for i := range len(ports) {
		switch c := ports[i]; {
		case c == '[':
			inside = true
		case c == ']':
			inside = false
		case c == ':' && !inside:
			parts = append(parts, ports[start:i])
			start = i + 1
		}
	}
	return append(parts, ports[start:]), p, nil
}

// bracketAddr reads an address; an IPv6 address is in brackets.
func bracketAddr(s string) (netip.Addr, error) {
	inner, ok := strings.CutPrefix(s, "[")
	if ok {
		inner, ok = strings.CutSuffix(inner, "]")
	}
	a, err := syntax.ParseAddr(inner)
	if err != nil || ok != a.Is6() {
		return netip.Addr{}, syntax.ErrWord
	}
	return a, nil
}

// withPorts sets the ports of the gateway and of the target.
func withPorts(p Forward, s, from, to string) (Forward, error) {
	var last uint16
	err := p.checkAddrs(s)
	if err != nil {
		return p, err
	}
	if p.First, p.Last, err = portRange(s, from); err != nil {
		return p, err
	}
	if p.ToFirst, last, err = portRange(s, to); err != nil {
		return p, err
	}
	if last-p.ToFirst != p.Last-p.First {
		return p, syntax.Invalid(s, fmt.Sprintf("%q: %s and %s are not the same number of ports", s, from, to),
			"make both ranges the same length")
	}
	return p, nil
}

// checkAddrs returns an error if the kernel forwards no packets to the address to listen on, or to the target.
func (p *Forward) checkAddrs(whole string) error {
	const elsewhere = "listen on another address of the machine, or on any"
	switch kind := subnet.KindForNAT(p.Listen); {
	case p.Listen == netip.IPv6Loopback():
		return syntax.Invalid(whole, fmt.Sprintf("%q: the kernel cannot forward packets to ::1", whole), elsewhere)
	case kind == "multicast", kind == "link-local":
		return syntax.Invalid(p.Listen.String(),
			fmt.Sprintf("%q: the kernel cannot forward packets to the %s address %s", whole, kind, p.Listen), elsewhere)
	}
	if kind := subnet.KindForNAT(p.To); kind != "" {
		return syntax.Invalid(p.To.String(),
			fmt.Sprintf("%q: the kernel cannot forward packets to the %s address %s", whole, kind, p.To),
			"write the name or an address of a host")
	}
	return nil
}

func portRange(whole, s string) (first, last uint16, err error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || a == 0 || b < a {
		return 0, 0, syntax.Invalid(s, fmt.Sprintf("%q: %q is not a port", whole, s),
			"a port is a number from 1 to 65535; a range has the smaller number first")
	}
	return uint16(a), uint16(b), nil
}

// String returns p as written in a lab file.
func (p Forward) String() string {
	var b strings.Builder
	if p.Listen.IsValid() {
		b.WriteString(inBrackets(p.Listen) + ":")
	}
	writeRange(&b, p.First, p.Last)
	switch {
	case p.To.IsValid():
		b.WriteString(":" + inBrackets(p.To))
	case p.Host != "":
		b.WriteString(":" + p.Host)
	}
	b.WriteByte(':')
	writeRange(&b, p.ToFirst, p.ToFirst+p.Last-p.First)
	if p.Proto != "" && p.Proto != "tcp" {
		b.WriteString("/" + p.Proto)
	}
	return b.String()
}

func inBrackets(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func writeRange(b *strings.Builder, first, last uint16) {
	b.WriteString(strconv.Itoa(int(first)))
	if last != first {
		b.WriteString("-" + strconv.Itoa(int(last)))
	}
}
