package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// Outcomes of an Expectation.
const (
	Answered    = "answered"    // a reply comes back; a TCP connection opens
	Refused     = "refused"     // TCP RST, or an ICMP error that says the port or the traffic is refused
	Unreachable = "unreachable" // no reply, or an ICMP error that says the destination is unreachable
)

// Probes of an Expectation.
const (
	ProbePing = "ping" // ICMP and ICMPv6 echo
	ProbeTCP  = "tcp"
	ProbeUDP  = "udp"
	ProbeDNS  = "dns" // From must resolve the name To; to Addr if that is valid
)

// An Expectation is a statement about the lab that package verify proves with packets.
type Expectation struct {
	From string     // a host or Machine
	To   string     // a host, Machine, or "" if Addr is set; a name for ProbeDNS
	Addr netip.Addr // the address to reach; invalid means an address of To in each family of the probe

	Probe   string     // one of the Probe constants
	Family  int        // 4 or 6; 0 means each family that both sides have
	Port    uint16     // for tcp and udp
	Size    int        // ping: size of the IP packet in bytes, sent with DF set; 0 means a small packet
	Outcome string     // one of the outcome constants
	Not     bool       // expects any other outcome than Outcome
	Seen    netip.Addr // the source address that the other side must see; invalid means any

	at syntax.Pos
}

const expectForm = `write "red -> blue: ping", "blue -> red tcp 22: refused", ` +
	`"red -> 203.0.113.1: not ping" or "red -> web.test: dns"`

var expectWords = []string{
	ProbePing, "ping4", "ping6", ProbeTCP, "tcp4", "tcp6", ProbeUDP, "udp4", "udp6", ProbeDNS,
	"size", "as", "not", Answered, Refused, Unreachable,
}

// Read reads "FROM -> TO PROBE: OUTCOME". In YAML this is a mapping with one
// key, or a string if it is quoted.
func (e *expectation) Read(d *syntax.Decoder, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && !syntax.IsNull(n) {
		left, right, _ := strings.Cut(n.Value, ": ")
		e.add(d, n, left, right)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.Mistake(syntax.PosOf(n), "", "expect: expected a fact, not "+syntax.ShapeOf(n), expectForm)
		return
	}
	for _, kv := range d.Pairs(n) {
		var outcomes syntax.Many[string]
		d.Value(kv.Value, &outcomes)
		if syntax.IsNull(kv.Value) {
			outcomes = syntax.Many[string]{""}
		}
		for _, o := range outcomes {
			e.add(d, kv.Key, kv.Key.Value, o)
		}
	}
}

func (e *expectation) add(d *syntax.Decoder, n *yaml.Node, left, right string) {
	x, err := ParseExpectation(left + ": " + right)
	if d.ReportInvalid(n, err) {
		return
	}
	x.at = syntax.PosOf(n)
	e.list = append(e.list, x)
}

// ParseExpectation reads a fact such as "red -> blue tcp 22: refused".
//
//	FROM -> TO [PROBE]: [PROBE] [not] [OUTCOME]
//	PROBE    ping[4|6] [size BYTES] | tcp[4|6] PORT | udp[4|6] PORT | dns [ADDRESS]
//	OUTCOME  answered | refused | unreachable | as ADDRESS
//
// The default of PROBE is ping, the default of OUTCOME is answered. "as" gives
// the source address that the other side must see. FROM and TO are hosts,
// patterns with *, or the machine. TO can also be an address or a name.
func ParseExpectation(s string) (Expectation, error) {
	x := Expectation{Probe: ProbePing, Outcome: Answered}
	from, rest, ok := strings.Cut(s, "->")
	x.From = strings.TrimSpace(from)
	left, right, _ := strings.Cut(rest+" ", ": ")
	if !ok || x.From == "" {
		return x, syntax.Invalid(s, fmt.Sprintf("%q is not a fact", s), expectForm)
	}
	w := syntax.NewWords(left + " " + right)
	x.To = w.Next()
	if x.To == "" {
		return x, syntax.Invalid(s, fmt.Sprintf("%q does not say what %s should reach", s, x.From), expectForm)
	}
	for w.More() {
		if err := parseExpectWord(w, &x); err != nil {
			return x, err
		}
	}
	if a, err := netip.ParseAddr(x.To); err == nil && a.Zone() == "" && x.Probe != ProbeDNS {
		x.To, x.Addr = "", a.Unmap()
	}
	return x, checkExpectation(&x, s)
}

func parseExpectWord(w *syntax.Words, x *Expectation) (err error) {
	var v uint64
	key := w.Next()
	probe := strings.TrimRight(key, "46")
	switch {
	case key == "not" || key == "no":
		x.Not = true
	case key == Answered || key == Refused || key == Unreachable:
		x.Outcome = key
	case key == "as":
		x.Seen, err = w.NextAddr(key)
	case key == "size":
		v, err = w.NextNumber(key, 28, 65535)
		x.Size = int(v)
	case key == ProbeDNS:
		x.Probe = key
		if a, err := syntax.ParseAddr(w.Peek()); err == nil {
			x.Addr = a
			w.Next()
		}
	case len(key)-len(probe) <= 1 && (probe == ProbePing || probe == ProbeTCP || probe == ProbeUDP):
		x.Probe = probe
		x.Family, _ = strconv.Atoi(key[len(probe):])
		if probe != ProbePing {
			v, err = w.NextNumber(key, 1, 65535)
			x.Port = uint16(v)
		}
	default:
		return syntax.Invalid(key, fmt.Sprintf("unknown word %q in a fact", key), spell.DidYouMean(key, expectWords))
	}
	return err
}

// checkExpectation checks that the parts of a fact fit together.
func checkExpectation(x *Expectation, whole string) error {
	switch {
	case x.Size != 0 && x.Probe != ProbePing:
		return syntax.Invalid("size", fmt.Sprintf("%q: only ping has a size", whole), "")
	case x.Seen.IsValid() && (x.Outcome != Answered || x.Probe == ProbeDNS):
		return syntax.Invalid("as", fmt.Sprintf("%q: \"as\" works only for an answered ping, tcp or udp", whole), "")
	case x.Addr.IsValid() && x.Probe != ProbeDNS && x.Family != 0 && x.Addr.Is4() != (x.Family == 4):
		return syntax.Invalid(x.Addr.String(), fmt.Sprintf("%q: the address is not an IPv%d address", whole, x.Family), "")
	}
	return nil
}

// String returns x as written in a lab file.
func (x Expectation) String() string {
	left, right := x.halves()
	return left + ": " + right
}

// halves returns the text before and after the colon.
func (x Expectation) halves() (left, right string) {
	to := x.To
	if to == "" {
		to = x.Addr.String()
	}
	var b strings.Builder
	if x.Not {
		b.WriteString("not ")
	}
	b.WriteString(x.Probe)
	if x.Family != 0 {
		b.WriteString(strconv.Itoa(x.Family))
	}
	writeNumber(&b, "", int64(x.Port))
	writeNumber(&b, " size", int64(x.Size))
	if x.Probe == ProbeDNS && x.Addr.IsValid() {
		b.WriteString(" " + x.Addr.String())
	}
	if x.Outcome != Answered {
		b.WriteString(" " + x.Outcome)
	}
	if x.Seen.IsValid() {
		b.WriteString(" as " + x.Seen.String())
	}
	return x.From + " -> " + to, b.String()
}

func (x Expectation) format() *yaml.Node {
	key, value := x.halves()
	var m syntax.Mapping
	m.Text(key, value)
	return m.Node(0)
}

// maxFacts limits the number of facts that patterns expand to.
const maxFacts = 1 << 18

// expectations expands patterns: "h* -> gw: ping" is one fact for each host that matches
// h*. It replaces aliases by host names.
func (l *fileLab) expectations(d *syntax.Decoder, t *Topology) []Expectation {
	hosts, byAlias := []string{}, map[string]string{}
	for _, h := range t.Hosts {
		if h.Name != topo.Machine {
			hosts = append(hosts, h.Name)
		}
		for _, a := range h.Aliases {
			byAlias[a] = h.Name
		}
	}
	var out []Expectation
	for _, e := range l.Expect {
		for _, x := range e.list {
			x.From = cmp.Or(byAlias[x.From], x.From)
			if x.Probe != ProbeDNS { // there, To is the name to resolve
				x.To = cmp.Or(byAlias[x.To], x.To)
			}
			froms, tos := matching(x.From, hosts), matching(x.To, hosts)
			if len(froms) == 0 || len(tos) == 0 {
				d.Mistake(x.at, "", "no host matches the pattern in "+x.String(), spell.DidYouMean("", hosts))
			}
			if len(out)+len(froms)*len(tos) > maxFacts {
				d.Mistake(x.at, "", "the patterns make too many facts", "name fewer hosts; verify --all-pairs proves every pair")
				return out
			}
			for _, x.From = range froms {
				for _, x.To = range tos {
					if x.From != x.To || len(froms)+len(tos) == 2 {
						out = append(out, x)
					}
				}
			}
		}
	}
	return out
}

// matching returns the hosts that match a pattern with *. Without *, it returns
// pattern itself.
func matching(pattern string, hosts []string) []string {
	if !strings.Contains(pattern, "*") {
		return []string{pattern}
	}
	var out []string
	for _, h := range hosts {
		if ok, err := path.Match(pattern, h); ok && err == nil {
			out = append(out, h)
		}
	}
	return out
}
