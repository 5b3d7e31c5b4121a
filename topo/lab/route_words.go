package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

const routeForm = `write it as for ip-route(8): "10.2.0.0/16 via 10.0.0.2", "default dev eth1", "blackhole 10.9.0.0/16"`

// maxRouteMTU is the largest MTU that a route keeps: the kernel makes any larger one smaller; see ip_metrics_convert in
// net/ipv4/metrics.c.
const maxRouteMTU = 65535 - 15

var (
	routeTypes = []string{"unicast", "blackhole", "unreachable", "prohibit"}
	routeWords = []string{"via", "dev", "src", "table", "metric", "mtu", "weight", "onlink", "nexthop"}
)

// Read reads a route.
func (r *fileRoute) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, &r.StaticRoute, routeForm, ParseRoute)
	r.at = syntax.PosOf(n)
}

// ParseRoute reads a route with the keywords of ip-route(8), for example "10.2.0.0/16 via 10.0.0.2".
func ParseRoute(s string) (StaticRoute, error) {
	w := syntax.NewWords(s)
	r := StaticRoute{Type: "unicast"}
	for _, t := range routeTypes {
		if w.Take(t) {
			r.Type = t
			break
		}
	}
	dst := w.Next()
	if err := parseRouteOptions(w, &r); err != nil {
		return r, err
	}
	if err := parseRouteDst(&r, s, dst); err != nil {
		return r, err
	}
	return r, checkRoute(&r, s)
}

// parseRouteOptions reads the words after the destination.
func parseRouteOptions(w *syntax.Words, r *StaticRoute) error {
	single := topo.Hop{}
	hop := &single // the next hop that via, dev, weight and onlink belong to
	for w.More() {
		if w.Take("nexthop") {
			r.Hops = append(r.Hops, topo.Hop{})
			hop = &r.Hops[len(r.Hops)-1]
			continue
		}
		if err := parseRouteOption(w, r, hop); err != nil {
			return err
		}
	}
	if single == (topo.Hop{}) {
		return nil
	}
	if len(r.Hops) > 0 {
		return syntax.Invalid("nexthop", "a route has either via and dev, or nexthops",
			"write nexthop before the first one too")
	}
	r.Hops = []topo.Hop{single}
	return nil
}

func parseRouteOption(w *syntax.Words, r *StaticRoute, hop *topo.Hop) (err error) {
	var v uint64
	switch key := w.Next(); key {
	case "via":
		_ = w.Take("inet") || w.Take("inet6")
		hop.Via, err = w.NextAddr(key)
	case "dev":
		hop.Device = w.Next()
	case "onlink":
		hop.Onlink = true
	case "weight":
		v, err = w.NextNumber(key, 1, 256)
		hop.Weight = int(v)
	case "src":
		r.Src, err = w.NextAddr(key)
	case "metric":
		v, err = w.NextNumber(key, 0, 1<<32-1)
		r.Metric = uint32(v)
	case "mtu":
		v, err = w.NextNumber(key, 68, maxRouteMTU)
		r.MTU = int(v)
	case "table":
		if w.Take("main") {
			return nil
		}
		v, err = w.NextNumber(key, 1, 1<<32-1)
		r.Table = uint32(v)
	default:
		return syntax.Invalid(key, fmt.Sprintf("unknown word %q in a route", key), spell.DidYouMean(key, routeWords))
	}
	return err
}

// parseRouteDst reads the destination. The family of default is that of the next hop.
func parseRouteDst(r *StaticRoute, whole, dst string) error {
	switch dst {
	case "":
		return syntax.ErrWord
	case "default":
		r.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		for _, h := range r.Hops {
			if h.Via.Is6() {
				r.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
		}
		return nil
	}
	if a, err := syntax.ParseAddr(dst); err == nil {
		r.Dst = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(dst)
	if err != nil || p.Addr().Is4In6() {
		return syntax.Invalid(dst, fmt.Sprintf("%q: %q is not a destination", whole, dst), routeForm)
	}
	if p != p.Masked() {
		return syntax.Invalid(dst, fmt.Sprintf("%q has bits set after the prefix length", dst), "write "+p.Masked().String())
	}
	r.Dst = p
	return nil
}

// checkRoute checks that the parts of a route fit together.
func checkRoute(r *StaticRoute, whole string) error {
	if r.Type != "unicast" {
		if len(r.Hops) > 0 {
			return syntax.Invalid(r.Type, fmt.Sprintf("%q: a %s route has no next hop", whole, r.Type), "remove via and dev")
		}
		return nil
	}
	if len(r.Hops) == 0 {
		return syntax.Invalid(whole, fmt.Sprintf("%q has neither via nor dev", whole), routeForm)
	}
	for i, h := range r.Hops {
		if twice := slices.ContainsFunc(r.Hops[:i], func(other topo.Hop) bool {
			return other.Via == h.Via && other.Device == h.Device
		}); twice && r.Dst.Addr().Is6() {
			return syntax.Invalid("nexthop", fmt.Sprintf("%q: an IPv6 route has each nexthop once", whole), "use weight")
		}
		if !h.Via.IsValid() && h.Device == "" {
			return syntax.Invalid("nexthop", fmt.Sprintf("%q: a nexthop has neither via nor dev", whole), routeForm)
		}
		if h.Onlink && !h.Via.IsValid() && r.Dst.Addr().Is4() {
			return syntax.Invalid("onlink", fmt.Sprintf("%q: onlink is for a next hop", whole), "remove onlink, or add via")
		}
		if len(r.Hops) > 1 && !h.Via.IsValid() && r.Dst.Addr().Is6() {
			return syntax.Invalid(h.Device, fmt.Sprintf("%q: each nexthop of an IPv6 route needs an address", whole), "add via")
		}
		if h.Via.Is4() && r.Dst.Addr().Is6() {
			return syntax.Invalid(h.Via.String(), fmt.Sprintf("%q: an IPv6 route cannot have an IPv4 next hop", whole),
				"use an IPv6 next hop")
		}
	}
	if r.Src.IsValid() && r.Src.Is4() != r.Dst.Addr().Is4() {
		return syntax.Invalid(r.Src.String(),
			fmt.Sprintf("%q: src and destination have different address families", whole), "")
	}
	return nil
}

// String returns r as written for ip-route(8).
func (r StaticRoute) String() string {
	var b strings.Builder
	if r.Type != "" && r.Type != "unicast" {
		b.WriteString(r.Type + " ")
	}
	switch {
	case r.Dst.Bits() == 0 && len(r.Hops) > 0 && r.Dst.Addr().Is6() == r.Hops[0].Via.Is6():
		b.WriteString("default")
	case r.Dst.IsSingleIP():
		b.WriteString(r.Dst.Addr().String())
	default:
		b.WriteString(r.Dst.String())
	}
	for _, h := range r.Hops {
		if len(r.Hops) > 1 {
			b.WriteString(" nexthop")
		}
		writeHop(&b, h, r.Dst.Addr().Is4())
	}
	if r.Src.IsValid() {
		b.WriteString(" src " + r.Src.String())
	}
	writeNumber(&b, " table", int64(r.Table))
	writeNumber(&b, " metric", int64(r.Metric))
	writeNumber(&b, " mtu", int64(r.MTU))
	return b.String()
}

func writeHop(b *strings.Builder, h topo.Hop, v4 bool) {
	switch {
	case h.Via.Is6() && v4:
		b.WriteString(" via inet6 " + h.Via.String())
	case h.Via.IsValid():
		b.WriteString(" via " + h.Via.String())
	}
	if h.Device != "" {
		b.WriteString(" dev " + h.Device)
	}
	writeNumber(b, " weight", int64(h.Weight))
	if h.Onlink {
		b.WriteString(" onlink")
	}
}

// writeNumber writes key and v, unless v is 0.
func writeNumber(b *strings.Builder, key string, v int64) {
	if v != 0 {
		b.WriteString(key + " " + strconv.FormatInt(v, 10))
	}
}
