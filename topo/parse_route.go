package topo

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	routeForm = `write it as ip(8) does: "10.2.0.0/16 via 10.0.0.2", "default dev eth1", "blackhole 10.9.0.0/16"`
	neighForm = `write it as ip(8) does: "10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0"`
)

var (
	routeTypes = []string{"unicast", "blackhole", "unreachable", "prohibit"}
	routeWords = []string{"via", "dev", "src", "table", "metric", "mtu", "weight", "onlink", "nexthop"}
)

func (r *route) read(d *decoder, n *yaml.Node) {
	scalar(d, n, &r.StaticRoute, routeForm, ParseRoute)
	r.at = place(n)
}

func (r *neighbour) read(d *decoder, n *yaml.Node) {
	scalar(d, n, &r.StaticNeigh, neighForm, parseNeigh)
	r.at = place(n)
}

// ParseRoute reads a route in ip(8)'s words.
func ParseRoute(s string) (StaticRoute, error) {
	w := words{rest: strings.Fields(s)}
	r := StaticRoute{Type: "unicast"}
	for _, t := range routeTypes {
		if w.take(t) {
			r.Type = t
			break
		}
	}
	dst := w.next()
	if err := routeTail(&w, &r); err != nil {
		return r, err
	}
	if err := routeDst(&r, s, dst); err != nil {
		return r, err
	}
	return r, routeSense(&r, s)
}

// routeTail reads what follows the destination.
func routeTail(w *words, r *StaticRoute) error {
	single := Hop{}
	hop := &single // what via, dev, weight and onlink belong to
	for len(w.rest) > 0 {
		if w.take("nexthop") {
			r.Hops = append(r.Hops, Hop{})
			hop = &r.Hops[len(r.Hops)-1]
			continue
		}
		if err := routeWord(w, r, hop); err != nil {
			return err
		}
	}
	if single == (Hop{}) {
		return nil
	}
	if len(r.Hops) > 0 {
		return slip{"nexthop", "a route has either via and dev, or nexthops", "begin with nexthop for the first one too"}
	}
	r.Hops = []Hop{single}
	return nil
}

func routeWord(w *words, r *StaticRoute, hop *Hop) (err error) {
	var v uint64
	switch key := w.next(); key {
	case "via":
		_ = w.take("inet") || w.take("inet6")
		hop.Via, err = w.nextAddr(key)
	case "dev":
		hop.Device = w.next()
	case "onlink":
		hop.Onlink = true
	case "weight":
		v, err = w.nextNumber(key, 1, 256)
		hop.Weight = int(v)
	case "src":
		r.Src, err = w.nextAddr(key)
	case "metric":
		v, err = w.nextNumber(key, 0, 1<<32-1)
		r.Metric = uint32(v)
	case "mtu":
		v, err = w.nextNumber(key, 68, 1<<31)
		r.MTU = int(v)
	case "table":
		if w.take("main") {
			return nil
		}
		v, err = w.nextNumber(key, 1, 1<<32-1)
		r.Table = uint32(v)
	default:
		return slip{key, fmt.Sprintf("unknown word %q in a route", key), didYouMean(key, routeWords)}
	}
	return err
}

// routeDst reads the destination; default takes its family from the next hop.
func routeDst(r *StaticRoute, whole, dst string) error {
	switch dst {
	case "":
		return errWord
	case "default":
		r.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		for _, h := range r.Hops {
			if h.Via.Is6() {
				r.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
		}
		return nil
	}
	if a, err := parseAddr(dst); err == nil {
		r.Dst = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(dst)
	if err != nil || p.Addr().Is4In6() {
		return slip{dst, fmt.Sprintf("%q: %q is no destination", whole, dst), routeForm}
	}
	if p != p.Masked() {
		return slip{dst, fmt.Sprintf("%q: the address goes beyond its prefix length", dst), "write " + p.Masked().String()}
	}
	r.Dst = p
	return nil
}

// routeSense checks what only the whole route can tell.
func routeSense(r *StaticRoute, whole string) error {
	if r.Type != "unicast" {
		if len(r.Hops) > 0 {
			return slip{r.Type, fmt.Sprintf("%q: a %s route leads nowhere", whole, r.Type), "leave via and dev out"}
		}
		return nil
	}
	if len(r.Hops) == 0 {
		return slip{whole, fmt.Sprintf("%q says neither via nor dev", whole), routeForm}
	}
	for _, h := range r.Hops {
		if !h.Via.IsValid() && h.Device == "" {
			return slip{"nexthop", fmt.Sprintf("%q: a nexthop says neither via nor dev", whole), routeForm}
		}
		if h.Via.Is4() && r.Dst.Addr().Is6() {
			return slip{h.Via.String(), fmt.Sprintf("%q: IPv6 cannot go via an IPv4 address", whole), "name an IPv6 next hop"}
		}
	}
	if r.Src.IsValid() && r.Src.Is4() != r.Dst.Addr().Is4() {
		return slip{r.Src.String(), fmt.Sprintf("%q: src and destination are of different families", whole), ""}
	}
	return nil
}

// String writes r as ip(8) does.
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

func writeHop(b *strings.Builder, h Hop, v4 bool) {
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

// writeNumber writes " key value" where the value is set.
func writeNumber(b *strings.Builder, key string, v int64) {
	if v != 0 {
		b.WriteString(key + " " + strconv.FormatInt(v, 10))
	}
}

// parseNeigh reads a neighbour in ip(8)'s words.
func parseNeigh(s string) (nb StaticNeigh, err error) {
	w := words{rest: strings.Fields(s)}
	if nb.Addr, err = w.nextAddr(""); err != nil {
		return nb, slip{w.last, fmt.Sprintf("%q is no neighbour", s), neighForm}
	}
	for len(w.rest) > 0 {
		switch key := w.next(); key {
		case "dev":
			nb.Device = w.next()
		case "lladdr":
			if nb.MAC, err = ParseMAC(w.next()); err != nil {
				return nb, slip{w.last, err.Error(), neighForm}
			}
		case "nud":
			if w.next() != "permanent" {
				return nb, slip{w.last, "a neighbour of the file never expires", "leave nud out"}
			}
		default:
			return nb, slip{key, fmt.Sprintf("unknown word %q in a neighbour", key), didYouMean(key, []string{"lladdr", "dev"})}
		}
	}
	if nb.MAC.IsZero() {
		return nb, slip{s, fmt.Sprintf("%q says no lladdr", s), neighForm}
	}
	return nb, nil
}

// String writes nb as ip(8) does.
func (nb StaticNeigh) String() string {
	s := nb.Addr.String() + " lladdr " + nb.MAC.String()
	if nb.Device != "" {
		s += " dev " + nb.Device
	}
	return s
}
