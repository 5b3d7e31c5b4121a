package iprule

import (
	"fmt"
	"net/netip"
	"strconv"
)

// A writer collects the items of a rule.
type writer struct {
	*Rule
	names Names
	items []Item
}

// Items returns the parts of the rule in ip-rule(8)'s order. details adds a protocol that is the kernel's or unknown.
func (r *Rule) Items(names Names, details bool) []Item {
	w := writer{Rule: r, names: names}
	w.put("priority", r.Values[Priority], "", fmt.Sprintf("%d:\t", r.Values[Priority]))
	w.flag(r.Not, "not", "not ")
	w.prefix(r.From, "src", "from ")
	if r.To.IsValid() {
		w.prefix(r.To, "dst", " to ")
	}
	w.named(TOS, uint64(r.TOS), r.TOS != 0, "tos", " tos ")
	n := r.Values[mark]
	w.masked(mark, markMask, "fwmark", "fwmask", hex(n), hex(n))
	w.link(r.In, "iif", 8)
	w.link(r.Out, "oif", 16)
	w.flag(r.Values[L3MDev] != 0, "l3mdev", " lookup [l3mdev-table]")
	w.span(uids, "uid", " uidrange ")
	w.value(IPProto, "ipproto", " ipproto ")
	w.ports(srcPorts, srcPortMask, "sport")
	w.ports(dstPorts, dstPortMask, "dport")
	w.number(tunnel, "tun_id", " tun_id ")
	if r.Values[Table] != 0 {
		w.value(Table, "table", " lookup ")
		w.number(suppressLength, "suppress_prefixlen", " suppress_prefixlength ")
		w.value(SuppressGroup, "suppress_ifgroup", " suppress_ifgroup ")
	}
	w.realms()
	w.action()
	if p := r.Values[Protocol]; p != 0 && p != kernel || details {
		w.value(Protocol, "protocol", " proto ")
	}
	name := names(DSCP, r.Values[DSCP])
	w.masked(DSCP, dscpMask, "dscp", "dscp_mask", name, name)
	n = r.Values[flowLabel]
	w.masked(flowLabel, flowMask, "flowlabel", "flowlabel_mask", hex(n), hex(n))
	return w.items
}

// kernel is RTPROT_KERNEL.
const kernel = 2

func (w *writer) put(name string, value any, before, text string) {
	w.items = append(w.items, Item{name, value, before, text})
}

// flag adds a word without a value.
func (w *writer) flag(has bool, name, text string) {
	if has {
		w.put(name, nil, text, "")
	}
}

// number adds an attribute that is printed as a number.
func (w *writer) number(attr uint16, name, before string) {
	if n, has := w.Values[attr]; has {
		w.put(name, n, before, strconv.FormatUint(n, 10))
	}
}

// value adds an attribute that is printed as a name.
func (w *writer) value(attr uint16, name, before string) {
	n, has := w.Values[attr]
	w.named(attr, n, has, name, before)
}

func (w *writer) named(attr uint16, n uint64, has bool, name, before string) {
	if has {
		text := w.names(attr, n)
		w.put(name, text, before, text)
	}
}

func (w *writer) prefix(p netip.Prefix, name, before string) {
	if !p.IsValid() {
		w.put(name, "all", before, "all")
		return
	}
	w.put(name, p.Addr().String(), before, p.Addr().String())
	if !p.IsSingleIP() {
		w.put(name+"len", p.Bits(), "/", strconv.Itoa(p.Bits()))
	}
}

// link adds the name of a link. If the rule has the flag detached, the link does not exist.
func (w *writer) link(link, name string, detached uint32) {
	if link != "" {
		w.put(name, link, " "+name+" ", link)
		w.flag(w.Flags&detached != 0, name+"_detached", " [detached]")
	}
}

// span adds the first and the last number of a range.
func (w *writer) span(attr uint16, name, before string) {
	if n, has := w.Values[attr]; has {
		first, last := n&(1<<32-1), n>>32
		w.put(name+"_start", first, before, strconv.FormatUint(first, 10))
		w.put(name+"_end", last, "-", strconv.FormatUint(last, 10))
	}
}

func (w *writer) ports(attr, mask uint16, name string) {
	if n := w.Values[attr]; n>>32 != n&(1<<32-1) {
		w.span(attr, name, " "+name+" ")
	} else {
		w.masked(attr, mask, name, name+"_mask", n>>32, strconv.FormatUint(n>>32, 10))
	}
}

// masked adds an attribute with a mask. A full mask is in the JSON only, except that of a mark.
func (w *writer) masked(attr, mask uint16, name, maskName string, value any, text string) {
	n, has := w.Values[attr]
	m, hasMask := w.Values[mask]
	if !has && !hasMask {
		return
	}
	if !hasMask || m == fullMasks[mask] {
		w.put(name, value, " "+name+" ", text)
		if hasMask && mask != markMask {
			w.put(maskName, hex(m), "", "")
		}
		return
	}
	w.put(name, value, " "+name+" ", hex(n&(1<<32-1)))
	w.put(maskName, hex(m), "/", hex(m))
}

func (w *writer) realms() {
	n, has := w.Values[Realms]
	if !has {
		return
	}
	before := " realms "
	if n>>16 != 0 {
		w.named(Realms, n>>16, true, "flow_from", before)
		before = "/"
	}
	w.named(Realms, n&(1<<16-1), true, "flow_to", before)
}

// action adds what happens to the packets, unless they are looked up in a table.
func (w *writer) action() {
	switch w.Action {
	case lookup:
	case jump:
		if _, has := w.Values[Goto]; !has {
			w.put("goto", "none", " goto ", "none")
		}
		w.number(Goto, "goto", " goto ")
		w.flag(w.Flags&4 != 0, "unresolved", " [unresolved]")
	case nop:
		w.flag(true, "nop", " nop")
	default:
		w.named(Action, uint64(w.Action), true, "action", " ")
	}
}

// hex returns a number as C's format %#x writes it.
func hex(n uint64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", n)
}
