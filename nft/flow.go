package nft

import (
	"net/netip"
	"slices"
)

// A flow is a conntrack entry.
type flow struct {
	orig, reply tuple
	status      uint32
	// identity is the encoded attributes that identify the flow in a delete request.
	identity []byte
	family   byte
}

// A tuple is one direction of a flow. The ports of protocols without ports are 0.
type tuple struct {
	src, dst         netip.Addr
	proto            Proto
	srcPort, dstPort uint16
}

// Bits of a flow's status; IPS_* of <linux/netfilter/nf_conntrack_common.h>.
const (
	flowAssured = 1 << 2 // packets went in both directions; for TCP, after the handshake
	flowSrcNAT  = 1 << 4
	flowDstNAT  = 1 << 5
)

// established reports whether the flow is an established connection of TCP or SCTP, which could break if its entry is
// deleted.
func (f flow) established() bool {
	return (f.orig.proto == TCP || f.orig.proto == SCTP) && f.status&flowAssured != 0
}

// A staleMatcher finds stale flows: flows that use a deleted rule, or that a new rule would translate differently.
type staleMatcher struct {
	forwards map[protoPort][]ruleChange // forwards of a single port
	others   []ruleChange
	local    localAddrs
	subnets  linkSubnets
}

// localAddrs is the set of addresses of the namespace's links. It contains each address twice: with its link, and with
// the link "", which means any link.
type localAddrs map[localAddr]bool

type localAddr struct {
	link string
	addr netip.Addr
}

type protoPort struct {
	proto Proto
	port  uint16
}

// A ruleChange is a rule that is added or removed.
type ruleChange struct {
	rule    Rule
	removed bool
}

func newStaleMatcher(old, new []Rule) *staleMatcher {
	f := &staleMatcher{forwards: make(map[protoPort][]ruleChange)} // the caller sets local if needsLocalAddrs
	for _, r := range old {
		f.add(ruleChange{r, true})
	}
	for _, r := range new {
		f.add(ruleChange{r, false})
	}
	return f
}

func (f *staleMatcher) add(c ruleChange) {
	switch r := c.rule.(type) {
	case Isolate, Closed:
		if !c.removed { // flows that are dropped leave no entry
			f.others = append(f.others, c)
		}
	case Allow:
		if c.removed {
			f.others = append(f.others, c)
		}
	case Own, Gate, Fastpath, Hairpin, Antispoof, PortAddress, Tenant: // they make no flow stale
	case Forward:
		if r.Ports.size() == 1 {
			at := protoPort{r.Proto, r.Ports.First}
			f.forwards[at] = append(f.forwards[at], c)
			return
		}
		f.others = append(f.others, c)
	default:
		f.others = append(f.others, c)
	}
}

// empty reports whether no flow can be stale.
func (f *staleMatcher) empty() bool { return len(f.forwards) == 0 && len(f.others) == 0 }

// needsLocalAddrs reports whether matches needs the addresses of the namespace.
func (f *staleMatcher) needsLocalAddrs() bool {
	return slices.ContainsFunc(f.others, func(c ruleChange) bool {
		switch c.rule.(type) {
		case Masquerade:
			return c.removed
		case Isolate, Closed, Allow:
			return true
		}
		return false
	})
}

// matches reports whether a flow is stale.
func (f *staleMatcher) matches(fl flow) bool {
	affected := func(c ruleChange) bool { return c.affects(fl, f) }
	return slices.ContainsFunc(f.forwards[protoPort{fl.orig.proto, fl.orig.dstPort}], affected) ||
		slices.ContainsFunc(f.others, affected)
}

func (c ruleChange) affects(fl flow, f *staleMatcher) bool {
	switch r := c.rule.(type) {
	case Forward:
		return r.affects(fl, c.removed)
	case Masquerade:
		return egressAffects(r.Source, fl, c.removed, f.local[localAddr{r.Out, fl.reply.dst}])
	case SourceNAT:
		return egressAffects(r.Source, fl, c.removed, fl.reply.dst == r.To)
	case Isolate:
		return f.drops(fl, r.In, r.Out)
	case Closed:
		return f.drops(fl, "", r.Link)
	case Allow:
		return r.Source.Contains(fl.orig.src) && f.drops(fl, "", r.Link)
	}
	return false
}

// affects reports whether a flow is stale if the forward is removed or added. A removed forward affects the flows that
// it translated. An added one affects the flows that went to its ports before.
func (f Forward) affects(fl flow, removed bool) bool {
	to, port := fl.orig, fl.orig.dstPort
	if to.proto != f.Proto || port < f.Ports.First || port > f.Ports.Last ||
		to.dst.Is4() != f.To.Is4() || f.Addr.IsValid() && to.dst != f.Addr {
		return false
	}
	translated := fl.reply.src == f.To && fl.reply.srcPort == f.ToPort+(port-f.Ports.First)
	if removed {
		return translated && fl.status&flowDstNAT != 0
	}
	// A masqueraded flow passes through; its destination is not this namespace.
	return !translated && fl.status&flowSrcNAT == 0 && !fl.established()
}

// egressAffects does the same for a Masquerade or SourceNAT. A removed rule affects flows whose source was translated
// to an address of the rule (toRuleAddr). An added rule affects flows that leave without translation. Established flows
// continue until they end: the rule of another table may have translated them, and deleting the entry breaks a
// connection whose server sends first.
func egressAffects(source netip.Prefix, fl flow, removed, toRuleAddr bool) bool {
	if source.IsValid() && !source.Contains(fl.orig.src) || fl.established() {
		return false
	}
	if removed {
		return fl.status&flowSrcNAT != 0 && toRuleAddr
	}
	inside := source.IsValid() && source.Bits() > 0 && source.Contains(fl.orig.dst)
	return fl.status&(flowSrcNAT|flowDstNAT) == 0 && !inside
}
