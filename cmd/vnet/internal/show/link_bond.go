package show

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vnet-lab/vnet/rtnl"
)

// bondOption adds an option of a bond or of a bond's port.
func (s LinkStyle) bondOption(m *members, opt rtnl.Option, n uint64, value any) {
	switch v := value.(type) {
	case []netip.Addr:
		m.put(opt.Name, addrTexts(v), opt.Name+" "+strings.Join(addrTexts(v), ",")+" ")
		return
	case rtnl.Options:
		m.put(opt.Name, s.aggregator(v), "")
		return
	case rtnl.LLAddr:
		m.add(opt.Name, v.String(), opt.Name+" %s ")
		return
	}
	switch {
	case opt.Type == rtnl.Index:
		if n != 0 {
			m.add(opt.Name, s.name(uint32(n)), opt.Name+" %s ")
		}
	case opt.Name == "arp_validate" && n == 0:
		m.put(opt.Name, nil, opt.Name+" none ")
	case opt.Name == "coupled_control" && n < 2:
		m.put(opt.Name, n == 1, opt.Name+" "+opt.Names[n]+" ")
	case strings.HasPrefix(opt.Name, "lacp_") && n < 2:
		m.put("ad_"+opt.Name, opt.Names[n], opt.Name+" "+opt.Names[n]+" ")
	case opt.Names != nil && n < uint64(len(opt.Names)):
		m.add(opt.Name, opt.Names[n], opt.Name+" %s ")
	case opt.Name == "num_grat_arp":
		m.put("num_peer_notif", n, fmt.Sprintf("%s %d ", opt.Name, n))
	case opt.Name == "prio":
		m.add(opt.Name, int32(n), opt.Name+" %d ")
	case strings.HasSuffix(opt.Name, "_oper_port_state"):
		addPortState(m, opt.Name, n)
	default:
		m.add(opt.Name, n, opt.Name+" %d ")
	}
}

func addrTexts(addrs []netip.Addr) []string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return texts
}

// aggregator returns the state of a bond's 802.3ad aggregator.
func (s LinkStyle) aggregator(info rtnl.Options) (m members) {
	for _, opt := range rtnl.KindOptions("ad_info") {
		switch v := info[opt.Name].(type) {
		case uint64:
			m.add(opt.Name, v, "ad_"+opt.Name+" %d ")
		case rtnl.LLAddr:
			m.add(opt.Name, v.String(), "ad_"+opt.Name+" %s ")
		}
	}
	return m
}

// portStateBits are ip(8)'s names of the bits of an 802.3ad port state.
var portStateBits = []string{"active", "short_timeout", "aggregating", "in_sync", "collecting", "distributing",
	"defaulted", "expired"}

func addPortState(m *members, name string, n uint64) {
	m.add(name, n, name+" %d ")
	found := []string{}
	for bit, word := range portStateBits {
		if n&(1<<bit) != 0 {
			found = append(found, word)
		}
	}
	m.put(name+"_str", found, name+"_str <"+strings.Join(found, ",")+"> ")
}
