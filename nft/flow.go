package nft

import (
	"net/netip"
	"slices"
)

// A flow is an entry of connection tracking.
type flow struct {
	orig, reply tuple
	status      uint32
	// identity is what names the flow to the kernel: its attributes, as it sent
	// them.
	identity []byte
	family   byte
}

// A tuple is one direction of a flow. Protocols without ports have zeroes.
type tuple struct {
	src, dst         netip.Addr
	proto            Proto
	srcPort, dstPort uint16
}

// Bits of a flow's status; IPS_* of <linux/netfilter/nf_conntrack_common.h>.
const (
	flowAssured = 1 << 2 // traffic went both ways, for TCP by its rules
	flowSrcNAT  = 1 << 4
	flowDstNAT  = 1 << 5
)

// working says that it is a connection which would notice being forgotten.
func (f flow) working() bool {
	return (f.orig.proto == TCP || f.orig.proto == SCTP) && f.status&flowAssured != 0
}

// A forgetter knows which flows go by rules that are no more, or do not go by
// rules that are new.
type forgetter struct {
	forwards map[protoPort][]changed // of one port
	others   []changed
	own      ownAddrs
}

// ownAddrs are the addresses that the namespace's links have, each by its link and
// once more by the link "", which stands for any.
type ownAddrs map[ownAddr]bool

type ownAddr struct {
	link string
	addr netip.Addr
}

type protoPort struct {
	proto Proto
	port  uint16
}

// changed is a rule that came or went.
type changed struct {
	rule Rule
	gone bool
}

func newForgetter(old, new []Rule) *forgetter {
	f := &forgetter{forwards: make(map[protoPort][]changed)} // own is filled if it is asked for
	for _, r := range old {
		f.add(changed{r, true})
	}
	for _, r := range new {
		f.add(changed{r, false})
	}
	return f
}

func (f *forgetter) add(c changed) {
	switch r := c.rule.(type) {
	case Isolate: // asked for each packet, not for each connection
	case Fastpath: // translates nothing
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

// empty says that there is no flow to be forgotten, whichever there are.
func (f *forgetter) empty() bool { return len(f.forwards) == 0 && len(f.others) == 0 }

// needsOwn says that it cannot do without the addresses of the namespace.
func (f *forgetter) needsOwn() bool {
	return slices.ContainsFunc(f.others, func(c changed) bool {
		_, ok := c.rule.(Masquerade)
		return ok && c.gone
	})
}

// forgets says whether a flow is to be forgotten.
func (f *forgetter) forgets(fl flow) bool {
	concerned := func(c changed) bool { return c.concerns(fl, f.own) }
	return slices.ContainsFunc(f.forwards[protoPort{fl.orig.proto, fl.orig.dstPort}], concerned) ||
		slices.ContainsFunc(f.others, concerned)
}

func (c changed) concerns(fl flow, own ownAddrs) bool {
	switch r := c.rule.(type) {
	case Forward:
		return r.concerns(fl, c.gone)
	case Masquerade:
		return egressConcerns(r.Source, fl, c.gone, own[ownAddr{r.Out, fl.reply.dst}])
	case SourceNAT:
		return egressConcerns(r.Source, fl, c.gone, fl.reply.dst == r.To)
	}
	return false
}

// concerns: a forward that is gone concerns what it translated. A new one
// concerns what went to its ports before it was there.
func (f Forward) concerns(fl flow, gone bool) bool {
	to, port := fl.orig, fl.orig.dstPort
	if to.proto != f.Proto || port < f.Ports.First || port > f.Ports.Last ||
		to.dst.Is4() != f.To.Is4() || f.Addr.IsValid() && to.dst != f.Addr {
		return false
	}
	translated := fl.reply.src == f.To && fl.reply.srcPort == f.ToPort+(port-f.Ports.First)
	if gone {
		return translated && fl.status&flowDstNAT != 0
	}
	// What is masqueraded passes through, and was never for us.
	return !translated && fl.status&flowSrcNAT == 0 && !fl.working()
}

// egressConcerns: a rule that is gone concerns what was translated on its way out
// to an address that it gives. A new one concerns what leaves as it is. Which
// table's rule a flow went by is not known, and forgetting ends a connection whose
// other side speaks first; so what works goes on until it ends.
func egressConcerns(source netip.Prefix, fl flow, gone, gives bool) bool {
	if source.IsValid() && !source.Contains(fl.orig.src) || fl.working() {
		return false
	}
	if gone {
		return fl.status&flowSrcNAT != 0 && gives
	}
	stays := source.IsValid() && source.Bits() > 0 && source.Contains(fl.orig.dst)
	return fl.status&(flowSrcNAT|flowDstNAT) == 0 && !stays
}
