package nft

import "net/netip"

// linkSubnets contains the links of the namespace by their subnets.
type linkSubnets map[netip.Prefix]string

// linkTo returns the link whose most specific subnet contains the address; "" if there is none. It does not use routes.
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

// drops reports whether a flow belongs to a connection that a new rule forbids. Its entry must be deleted, because the
// table accepts all packets of connections that have an entry. The connection goes from the link in ("" means any
// except out) to the link out.
//
// If an address of the flow is behind a router, its link is unknown, and drops assumes that it is in or out: if the
// rules allow the connection, it continues without the entry. A connection whose source is translated might not
// continue, so for such a flow drops returns false.
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
