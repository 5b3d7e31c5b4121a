package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
)

// A Rule is a [Masquerade], [SourceNAT], [Forward], [Isolate], [Own], [Closed], [Allow], [Gate], [Hairpin],
// [Antispoof], [PortAddress], [Fastpath] or [Tenant], or a [Foreign] element. Rules can be compared with ==: each has a
// single canonical form, and Check refuses all others.
type Rule interface {
	// String returns the rule in nft's syntax, as a rule in a chain.
	String() string
	// Check returns an error if the rule is invalid.
	Check() error

	elements() []element
}

// CountedRule is a rule with its counters since it was added. A NAT rule counts only the first packet of each
// connection, because NAT chains see no others. An [Isolate] counts every packet between its links, including those
// to forwarded ports. A [Hairpin] counts the frames that it drops. An [Own],
// [Closed], [Allow], [Gate], [Antispoof], [PortAddress], [Fastpath] or [Tenant] has no counters.
type CountedRule struct {
	Rule
	Packets, Bytes uint64
}

// Proto is the IP protocol number of a transport protocol.
type Proto uint8

// The protocols whose ports can be forwarded; IPPROTO_* of <linux/in.h>.
const (
	TCP  Proto = 6
	UDP  Proto = 17
	SCTP Proto = 132
)

// String returns the protocol's name as in nft and /etc/protocols.
func (p Proto) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return strconv.Itoa(int(p))
}

// ParseProto parses tcp, udp and sctp.
func ParseProto(name string) (Proto, error) {
	for _, p := range []Proto{TCP, UDP, SCTP} {
		if name == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("protocol %q: expected tcp, udp or sctp", name)
}

// Ports is an inclusive range of ports. A single port has First equal to Last.
type Ports struct{ First, Last uint16 }

// Port returns the range of a single port.
func Port(port uint16) Ports { return Ports{port, port} }

// String returns the range in nft's syntax: 80, or 8000-8100.
func (p Ports) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// size returns the number of ports.
func (p Ports) size() int { return int(p.Last) - int(p.First) + 1 }

func (p Ports) check() error {
	if p.First == 0 || p.Last < p.First {
		return fmt.Errorf("%d-%d is not a valid port range", p.First, p.Last)
	}
	return nil
}

// checkDevice returns an error if name is not a valid name of a link. It also refuses quotes, wildcards and
// backslashes, which are special in nft's syntax. An empty name means any link and is valid.
func checkDevice(name string) error {
	switch {
	case name == "":
		return nil
	case len(name) > naming.MaxLinkName:
		return fmt.Errorf("device name %q has %d bytes, maximum is %d", name, len(name), naming.MaxLinkName)
	case !naming.IsLink(name), strings.ContainsAny(name, `"*\`), strings.ContainsFunc(name, isControl):
		return fmt.Errorf("%q is not a valid device name", name)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// checkTarget returns an error if NAT cannot translate to the address.
func checkTarget(a netip.Addr) error {
	switch {
	case !a.IsValid():
		return errors.New("expected a target address")
	case a.Is4In6() || a.Zone() != "":
		return fmt.Errorf("cannot translate to %s: expected an address that has no zone and is not IPv4-mapped", a)
	case a.IsUnspecified() || a.IsMulticast():
		return fmt.Errorf("cannot translate to %s: not a unicast address", a)
	case a.IsLoopback():
		return fmt.Errorf("cannot translate to %s: the kernel drops packets to it from outside; "+
			"use another address of the host", a)
	case a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Errorf("cannot translate to %s: link-local addresses are valid on their own link only", a)
	}
	return nil
}

// checkSource returns an error if the prefix has host bits or is IPv4-mapped.
func checkSource(p netip.Prefix) error {
	switch {
	case p.Addr().Is4In6():
		return fmt.Errorf("%s is IPv4-mapped; use the IPv4 prefix", p)
	case p != p.Masked():
		return fmt.Errorf("%s has host bits set; use %s", p, p.Masked())
	}
	return nil
}

// familyKeyword returns nft's keyword for an address's family: ip or ip6.
func familyKeyword(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// familyDigit returns 4 or 6, the suffix of the names of sets.
func familyDigit(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// invalid wraps err in an [Error] that names the rule. It returns nil if err is nil.
func invalid(r Rule, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "check", Object: r.String(), Err: err}
}
