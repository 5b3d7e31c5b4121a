package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A Rule is one thing that a table does: a [Masquerade], [SourceNAT], [Forward],
// [Isolate] or [Fastpath], or what others put beside them, a [Foreign]. Rules are comparable:
// == is equality, for each has one spelling only, and Check refuses the others.
type Rule interface {
	// String prints the rule in nft's words, as if it stood in a chain.
	String() string
	// Check says what is wrong with the rule, or nil.
	Check() error

	elements() []element
}

// Counted is a rule and what it has seen since it was added: the first packets
// of connections, which are all that NAT looks at, or for [Isolate] every packet.
// A [Fastpath] counts nothing.
type Counted struct {
	Rule
	Packets, Bytes uint64
}

// Proto is a transport protocol by its IP number.
type Proto uint8

// The protocols whose ports can be forwarded; IPPROTO_* of <linux/in.h>.
const (
	TCP  Proto = 6
	UDP  Proto = 17
	SCTP Proto = 132
)

// String is the name nft and /etc/protocols have for it.
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

// ParseProto knows tcp, udp and sctp.
func ParseProto(name string) (Proto, error) {
	for _, p := range []Proto{TCP, UDP, SCTP} {
		if name == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("protocol %q has no ports to forward; there are tcp, udp, sctp", name)
}

// Ports is a range of ports, both ends included. A single port is a range of one.
type Ports struct{ First, Last uint16 }

// Port is the range of one port.
func Port(port uint16) Ports { return Ports{port, port} }

// String is nft's: 80, or 8000-8100.
func (p Ports) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// size is how many ports there are.
func (p Ports) size() int { return int(p.Last) - int(p.First) + 1 }

func (p Ports) check() error {
	if p.First == 0 || p.Last < p.First {
		return fmt.Errorf("%d-%d is no range of ports", p.First, p.Last)
	}
	return nil
}

// maxName is the longest name of a link, in bytes: IFNAMSIZ of <linux/if.h>,
// less the end mark.
const maxName = 15

// checkDevice refuses what cannot be a link's name, and the quote that would
// end it early in nft's text. Empty means any link.
func checkDevice(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("device name %q has %d bytes, of at most %d", name, len(name), maxName)
	case name == "." || name == ".." || strings.ContainsAny(name, "/:\"*\\"):
		return fmt.Errorf("%q is no name of a device", name)
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("%q is no name of a device", name)
		}
	}
	return nil
}

// checkTarget refuses addresses nothing can be translated to.
func checkTarget(a netip.Addr) error {
	switch {
	case !a.IsValid():
		return errors.New("no address to translate to")
	case a.Is4In6() || a.Zone() != "":
		return fmt.Errorf("cannot translate to %s: write it plainly", a)
	case a.IsUnspecified() || a.IsMulticast():
		return fmt.Errorf("cannot translate to %s: it is no host's address", a)
	case a.IsLoopback():
		return fmt.Errorf("cannot translate to %s: the kernel lets nothing reach it from outside; use another address of the host", a)
	case a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Errorf("cannot translate to %s: it is known on its own link only", a)
	}
	return nil
}

// checkSource refuses prefixes that are not in their one spelling.
func checkSource(p netip.Prefix) error {
	if p.Addr().Is4In6() || p != p.Masked() {
		return fmt.Errorf("%s has bits beyond its length; %s is meant", p, p.Masked())
	}
	return nil
}

// ipWord is nft's word for an address's family.
func ipWord(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// digit is 4 or 6, as the names of sets end.
func digit(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// invalid says which rule is wrong, and why.
func invalid(r Rule, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "check", Object: r.String(), Err: err}
}
