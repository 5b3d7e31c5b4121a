package words

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// NATVerbs returns the commands for NAT rules.
func NATVerbs() []string { return []string{"show", "add", "delete", "flush", "help"} }

// natKinds are the kinds of rules after add and del.
var natKinds = []string{"masquerade", "dnat", "snat"}

// NATVerb takes the command after "nat"; the default is show.
func (w *Words) NATVerb() string {
	if !w.More() || w.TakeShort("show", "list", "lst") {
		return "show"
	}
	for _, verb := range NATVerbs() {
		if w.TakeShort(verb) {
			return verb
		}
	}
	w.Err = iptables(Unknown("nat command", w.Peek(), NATVerbs()), w.Peek())
	return ""
}

// iptables adds a hint if the word is an option of iptables(8).
func iptables(e *Error, word string) *Error {
	if slices.Contains([]string{"-t", "--table", "-A", "--append", "-I", "--insert", "-D", "--delete", "-L", "--list",
		"-F", "--flush"}, word) {
		e.Hint = "vnet takes no table and no chain: vnet nat add masquerade -s NETWORK, vnet nat del ..., vnet nat, vnet " +
			"nat flush"
	}
	return e
}

// NATRules parses the words after nat add and nat del, which are options of iptables(8). It returns a rule for each
// port range and protocol of dnat, and for each address family of a masquerade without a network and a device. family
// is that of the options; 0 is both. The notes are sentences about words that may mean something else than the user
// thinks.
func (w *Words) NATRules(family int) (rules []nft.Rule, notes []string) {
	if !w.More() {
		w.Fail("the kind of rule is missing: masquerade, dnat or snat")
		return nil, nil
	}
	kind := w.Next()
	if !slices.Contains(natKinds, kind) {
		w.Err = iptables(Unknown("kind of rule", kind, natKinds), kind)
		return nil, nil
	}
	r := natReader{Words: w, kind: kind}
	r.read()
	if w.Err != nil {
		return nil, nil
	}
	return r.rules(family), r.notes
}

// A natReader parses the options of one rule.
type natReader struct {
	*Words
	kind     string
	source   netip.Prefix
	in, out  string
	protos   []nft.Proto // none if the protocol is not given
	addr, to netip.Addr
	ports    []nft.Ports // none means all ports
	toPorts  nft.Ports
	random   bool
	notes    []string
}

// A natOption is an option of a rule with iptables' short and long names.
type natOption struct {
	words []string
	kinds string // the kinds of rules that have this option
	read  func(r *natReader, word string)
}

var natOptions = []natOption{
	{[]string{"-s", "--source", "--src"}, "masquerade snat", (*natReader).readSource},
	{[]string{"-o", "--out-interface"}, "masquerade snat", func(r *natReader, word string) { r.out = r.device(word) }},
	{[]string{"--random-fully"}, "masquerade", func(r *natReader, _ string) { r.random = true }},
	{[]string{"-i", "--in-interface"}, "dnat", func(r *natReader, word string) { r.in = r.device(word) }},
	{[]string{"-p", "--protocol", "--proto"}, "dnat", (*natReader).readProto},
	{[]string{"-d", "--destination", "--dst"}, "dnat",
		func(r *natReader, word string) { r.addr = r.host(word, r.Value(word)) }},
	{[]string{"--dport", "--destination-port", "--dports"}, "dnat", (*natReader).readPorts},
	{[]string{"--to-destination"}, "dnat", (*natReader).readTarget},
	{[]string{"--to-source"}, "snat", func(r *natReader, word string) { r.to = r.host(word, r.Value(word)) }},
}

func (r *natReader) read() {
	for r.More() {
		r.option(r.Next())
	}
}

func (r *natReader) option(word string) {
	var known []string
	for _, o := range natOptions {
		if !strings.Contains(o.kinds, r.kind) {
			continue
		}
		for _, w := range o.words {
			if w == word {
				o.read(r, word)
				return
			}
		}
		known = append(known, o.words...)
	}
	e := Unknown("option of "+r.kind, word, known)
	switch word {
	case "!":
		e.Hint = "negation is not supported; add a rule for each network or port"
	case "-j", "--jump":
		e.Hint = "the target is already given by the kind of rule: " + r.kind
	}
	r.Err = e
}

func (r *natReader) device(word string) string {
	name := r.Value(word)
	switch {
	case name == "":
		r.Fail("%s needs the name of a device", word)
	case strings.HasSuffix(name, "+"): // iptables' wildcard
		r.FailHint("add a rule for each device", "%s takes one device, not a pattern like %s+", word,
			strings.TrimSuffix(name, "+"))
	}
	return name
}

// readSource takes a network. As with iptables, host bits are ignored.
func (r *natReader) readSource(word string) {
	value := r.Value(word)
	p, ok := parsePrefix(value, 0)
	if !ok || !p.IsValid() {
		r.Fail("%s needs a network such as 192.168.15.0/24, not %q", word, value)
		return
	}
	r.source = p.Masked()
	if length := networkLength(p.Addr()); length != 0 && !strings.Contains(value, "/") {
		r.notes = append(r.notes, fmt.Sprintf("%s %s is one address; the network is %s/%d", word, value, value, length))
	}
}

// networkLength returns the usual prefix length of a network with this address; 0 if it is rather a host's address.
func networkLength(a netip.Addr) int {
	bytes := a.AsSlice()
	switch {
	case a.IsUnspecified():
		return 0
	case a.Is4() && bytes[3] == 0:
		return 24
	case a.Is6() && !slices.ContainsFunc(bytes[8:], func(b byte) bool { return b != 0 }):
		return 64
	}
	return 0
}

func (r *natReader) readProto(word string) {
	proto, err := nft.ParseProto(r.Value(word))
	if err != nil {
		r.Fail("%v", err)
	}
	r.protos = []nft.Proto{proto}
}

// readPorts parses 80, or a list of ports and ranges as in iptables' multiport: 80,443,8000-8100.
func (r *natReader) readPorts(word string) {
	r.ports = nil
	for one := range strings.SplitSeq(r.Value(word), ",") {
		if ports := r.portRange(word, one); !slices.Contains(r.ports, ports) {
			r.ports = append(r.ports, ports)
		}
	}
}

func (r *natReader) host(word, value string) netip.Addr {
	a, err := netip.ParseAddr(value)
	if err != nil {
		r.Fail("%s needs an address, not %q", word, value)
	}
	return a
}

// portRange parses 80, 8000-8100 or, as in iptables, 8000:8100.
func (r *natReader) portRange(word, value string) nft.Ports {
	first, last, several := strings.Cut(strings.Replace(value, ":", "-", 1), "-")
	if !several {
		last = first
	}
	from, ok1 := Number(first, 0xffff)
	to, ok2 := Number(last, 0xffff)
	if !ok1 || !ok2 || from == 0 || to < from {
		r.Fail("%s needs a port from 1 to 65535 or a range such as 8000-8100, not %q", word, value)
	}
	return nft.Ports{First: uint16(from), Last: uint16(to)}
}

// readTarget parses ADDR[:PORT[-PORT]]. With ports, an IPv6 address is in brackets.
func (r *natReader) readTarget(word string) {
	value := r.Value(word)
	host, ports, hasPorts := value, "", false
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(value, "["), "]"); ok && value[0] == '[' {
		host = inner
		if ports, hasPorts = strings.CutPrefix(rest, ":"); !hasPorts && rest != "" {
			hasPorts, ports = true, "" // text after the bracket that is not a port
		}
	} else if strings.Count(value, ":") == 1 {
		host, ports, hasPorts = strings.Cut(value, ":")
	}
	if hasPorts && ports == "" {
		r.Fail("%s needs ADDR[:PORT[-PORT]], not %q", word, value)
		return
	}
	r.to = r.host(word, host)
	if hasPorts {
		r.toPorts = r.portRange(word, ports)
		return
	}
	// fd00::2:80 is an address, but 80 may be meant as the port.
	end := strings.LastIndexByte(value, ':')
	if end < 0 || value[0] == '[' {
		return
	}
	_, err := netip.ParseAddr(value[:end])
	if port, isNumber := Number(value[end+1:], 0xffff); err == nil && isNumber && port > 9 {
		r.notes = append(r.notes, fmt.Sprintf("%s %s has no port; with one it is %s [%s]:%d", word, value, word,
			value[:end], port))
	}
}

// rules returns the rules for the parsed options.
func (r *natReader) rules(family int) []nft.Rule {
	switch r.kind {
	case "masquerade":
		return r.masquerades(family)
	case "snat":
		switch {
		case !r.source.IsValid():
			r.Fail("snat needs -s: the source network")
		case !r.to.IsValid():
			r.Fail("snat needs --to-source: the new source address")
		}
		return r.checked(nft.SourceNAT{Source: r.source, Out: r.out, To: r.to})
	}
	return r.forwards()
}

func (r *natReader) masquerades(family int) []nft.Rule {
	if r.source.IsValid() || r.out != "" {
		return r.checked(nft.Masquerade{Source: r.source, Out: r.out, Random: r.random})
	}
	var rules []nft.Rule
	if family != unix.AF_INET6 {
		rules = append(rules, nft.Masquerade{Source: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Random: r.random})
	}
	if family != unix.AF_INET {
		rules = append(rules, nft.Masquerade{Source: netip.PrefixFrom(netip.IPv6Unspecified(), 0), Random: r.random})
	}
	return rules
}

// forwards returns a rule for each port and protocol. Without ports, all ports of an address are forwarded, by default
// those of all protocols; otherwise the protocol is TCP by default.
func (r *natReader) forwards() (rules []nft.Rule) {
	switch {
	case !r.to.IsValid():
		r.Fail("dnat needs --to-destination: the target address")
	case len(r.ports) == 0 && (!r.addr.IsValid() || r.toPorts.First != 0):
		r.FailHint("to forward all ports of an address, write -d ADDRESS and no port",
			"dnat needs --dport: the port or ports to forward")
	case len(r.ports) == 0:
		r.ports = []nft.Ports{{First: 1, Last: 65535}}
		if r.protos == nil {
			r.protos = []nft.Proto{nft.TCP, nft.UDP, nft.SCTP}
		}
	}
	if r.protos == nil {
		r.protos = []nft.Proto{nft.TCP}
	}
	for _, proto := range r.protos {
		for _, ports := range r.ports {
			rules = append(rules, r.checked(r.forward(proto, ports))...)
		}
	}
	if r.Err != nil {
		return nil
	}
	return rules
}

func (r *natReader) forward(proto nft.Proto, ports nft.Ports) nft.Forward {
	to := r.toPorts
	if to.First == 0 {
		to = ports
	}
	if have, want := to.Last-to.First, ports.Last-ports.First; have != want {
		r.FailHint("give the same number of ports after the address, or none to keep the ports",
			"--dport %s and --to-destination's %s differ in the number of ports", ports, to)
	}
	return nft.Forward{Proto: proto, Addr: r.addr, In: r.in, Ports: ports, To: r.to, ToPort: to.First}
}

// checked returns the rule if it is valid.
func (r *natReader) checked(rule nft.Rule) []nft.Rule {
	if r.Err != nil {
		return nil
	}
	if err := rule.Check(); err != nil {
		r.Fail("%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("check %s: ", rule)))
		return nil
	}
	return []nft.Rule{rule}
}
