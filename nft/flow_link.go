package nft

import "net/netip"

// linkSubnets contains the links of the namespace by their subnets.
type linkSubnets map[netip.Prefix]string

// linkTo returns the link whose most specific subnet contains the address; "" if there is none. It knows no routes.
func (s linkSubnets) linkTo(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		p, err := a.Prefix(bits)
		if link, ok := s[p]; ok && err == nil {
			return link
		}
	}
	return ""
}

// drops reports whether a flow is of a connection that a new rule forbids, so that the rule for accepted connections
// must not know it any more. The connection goes from the link in ("" means any except out) to the link out.
//
// A flow from or to an address behind a router counts as one of these links, unless its source is translated: its
// connection continues without the entry if the rules allow it. A translated one might not.
func (f *staleMatcher) drops(fl flow, in, out string) bool {
	if fl.status&flowDstNAT != 0 || f.local[localAddr{"", fl.orig.src}] || f.local[localAddr{"", fl.reply.src}] {
		return false
	}
	unknown := fl.status&flowSrcNAT == 0
	from, to := f.subnets.linkTo(fl.orig.src), f.subnets.linkTo(fl.reply.src)
	if to != out && (to != "" || !unknown) {
		return false
	}
	switch {
	case from == "":
		return unknown
	case in == "":
		return from != out
	}
	return from == in
}
