package words

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// routeKeywords are the keywords of a route, in the order in which ip(8) matches abbreviations.
var routeKeywords = []keyword[routeReader]{
	{"src", false, func(r *routeReader, word string) { r.Route.PrefSrc = r.address(word) }},
	{"via", false, (*routeReader).readVia},
	{"from", false, func(r *routeReader, word string) { r.src = r.prefix(r.Value(word)) }},
	{"tos", false, (*routeReader).readTOS},
	{"dsfield", true, (*routeReader).readTOS},
	{"expires", false, func(r *routeReader, word string) { r.Route.Expires = uint32(r.number(word, 1<<32-1)) }},
	{"metric", true, (*routeReader).readMetric},
	{"priority", true, (*routeReader).readMetric},
	{"preference", false, (*routeReader).readMetric},
	{"scope", false, func(r *routeReader, word string) {
		r.Route.Scope, r.hasScope = uint8(r.named(word, names.Scopes)), true
	}},
	metric("mtu", false, unix.RTAX_MTU, 1<<32-1),
	metric("hoplimit", false, unix.RTAX_HOPLIMIT, 255),
	metric("advmss", false, unix.RTAX_ADVMSS, 1<<32-1),
	metric("reordering", true, unix.RTAX_REORDERING, 1<<32-1),
	{"rtt", false, func(r *routeReader, word string) { r.readTime(word, unix.RTAX_RTT, 8) }},
	{"rto_min", false, func(r *routeReader, word string) {
		r.Route.Metrics.Values[unix.RTAX_LOCK] |= 1 << unix.RTAX_RTO_MIN
		r.readTime(word, unix.RTAX_RTO_MIN, 1)
	}},
	metric("window", true, unix.RTAX_WINDOW, 1<<32-1),
	metric("cwnd", true, unix.RTAX_CWND, 1<<32-1),
	metric("initcwnd", true, unix.RTAX_INITCWND, 1<<32-1),
	metric("initrwnd", true, unix.RTAX_INITRWND, 1<<32-1),
	{"features", true, (*routeReader).readFeatures},
	metric("quickack", true, unix.RTAX_QUICKACK, 1),
	{"congctl", true, func(r *routeReader, word string) {
		r.takeLock(unix.RTAX_CC_ALGO)
		r.Route.Metrics.Congestion = r.Value(word)
	}},
	{"rttvar", true, func(r *routeReader, word string) { r.readTime(word, unix.RTAX_RTTVAR, 4) }},
	metric("ssthresh", true, unix.RTAX_SSTHRESH, 1<<32-1),
	{"realms", true, func(r *routeReader, word string) { r.Route.Realms = r.realms(word) }},
	{"onlink", false, func(r *routeReader, _ string) { r.Route.Flags |= unix.RTNH_F_ONLINK }},
	{"nexthop", false, (*routeReader).readHops},
	{"nhid", false, func(r *routeReader, word string) { r.Route.NextHop = uint32(r.number(word, 1<<32-1)) }},
	{"protocol", true, func(r *routeReader, word string) {
		r.Route.Protocol = uint8(r.named(word, names.RouteProtocols))
	}},
	{"table", true, func(r *routeReader, word string) {
		r.Route.Table, r.hasTable = r.named(word, names.RouteTables), true
	}},
	{"vrf", true, func(r *routeReader, word string) { r.VRF, r.hasTable = r.Value(word), true }},
	{"dev", false, func(r *routeReader, word string) { r.Dev = r.Value(word) }},
	{"oif", false, func(r *routeReader, word string) { r.Dev = r.Value(word) }},
	{"pref", true, (*routeReader).readPref},
	{"encap", false, func(r *routeReader, word string) { r.Route.Encap = r.encap(word) }},
	{"ttl-propagate", false, (*routeReader).readTTLPropagate},
	metric("fastopen_no_cookie", true, unix.RTAX_FASTOPEN_NO_COOKIE, 1),
}

// metric makes the keyword for a number, optionally with "lock" before it.
func metric(name string, short bool, which int, max uint64) keyword[routeReader] {
	return keyword[routeReader]{name, short, func(r *routeReader, word string) {
		r.takeLock(which)
		r.Route.Metrics.Values[which] = uint32(r.number(word, max))
	}}
}

func (r *routeReader) takeLock(which int) {
	if r.Take("lock") {
		r.Route.Metrics.Values[unix.RTAX_LOCK] |= 1 << which
	}
}

func (r *routeReader) readVia(word string) {
	if r.Route.Gateway.IsValid() {
		r.FailHint("for several gateways use nexthop via ADDRESS nexthop via ADDRESS", "%q is given twice", word)
		return
	}
	r.Route.Gateway = r.via(word)
}

func (r *routeReader) readTOS(word string) { r.Route.TOS = uint8(r.named(word, names.DSFields)) }

func (r *routeReader) readMetric(word string) {
	r.Route.Metric = uint32(r.number(word, 1<<32-1))
}

// readTime takes a time with a unit. The kernel counts in fractions of a millisecond; a number without a unit is in
// the kernel's fractions.
func (r *routeReader) readTime(word string, which int, fractions uint32) {
	r.takeLock(which)
	text := r.Value(word)
	ms, raw, ok := parseTime(text)
	if !ok {
		r.Fail("%s %q is not a time such as 300ms or 1.5s", word, text)
	}
	if !raw {
		ms *= fractions
	}
	r.Route.Metrics.Values[which] = ms
}

func parseTime(text string) (ms uint32, raw, ok bool) {
	digits := strings.TrimRight(text, "smecSMEC")
	n, err := strconv.ParseFloat(digits, 64)
	if whole, isWhole := Number(digits, 1<<32-1); isWhole {
		n, err = float64(whole), nil
	}
	switch strings.ToLower(text[len(digits):]) {
	case "":
		raw = true
	case "ms", "msec", "msecs":
	case "s", "sec", "secs":
		n *= 1000
	default:
		return 0, false, false
	}
	if err != nil || !(n >= 0 && n <= 1<<32-1) {
		return 0, false, false
	}
	if ms = uint32(n); float64(ms) < n {
		ms++
	}
	return ms, raw, true
}

func (r *routeReader) readFeatures(word string) {
	features := map[string]uint32{"ecn": unix.RTAX_FEATURE_ECN, "tcp_usec_ts": unix.RTAX_FEATURE_TCP_USEC_TS}
	for bit, ok := features[r.Peek()]; ok; bit, ok = features[r.Peek()] {
		r.Route.Metrics.Values[unix.RTAX_FEATURES] |= bit
		r.Next()
	}
	if r.Route.Metrics.Values[unix.RTAX_FEATURES] == 0 {
		r.FailHint("the features are ecn and tcp_usec_ts", "%s: %q is not a feature", word, r.Peek())
	}
}

func (r *routeReader) readPref(word string) {
	prefs := map[string]uint8{"medium": 0, "high": 1, "low": 3} // RFC 4191
	value := r.Value(word)
	pref, ok := prefs[value]
	if !ok {
		n, isNumber := Number(value, 255)
		if !isNumber {
			r.FailHint("expected low, medium or high", "pref %q is unknown", value)
		}
		pref = uint8(n)
	}
	r.Route.Pref = pref
}

// readTTLPropagate parses and ignores ttl-propagate: the kernel uses it only in MPLS routes.
func (r *routeReader) readTTLPropagate(word string) {
	if value := r.Value(word); !Short(value, "enabled") && !Short(value, "disabled") {
		r.FailHint("expected enabled or disabled", "ttl-propagate %q is unknown", value)
	}
}

// hopReader parses one of several next hops.
type hopReader struct {
	*routeReader
	hop rtnl.Hop
	dev string
}

// hopKeywords are in the order in which ip(8) matches abbreviations.
var hopKeywords = []keyword[hopReader]{
	{"via", false, func(h *hopReader, word string) { h.hop.Gateway = h.via(word) }},
	{"dev", false, func(h *hopReader, word string) { h.dev = h.Value(word) }},
	{"weight", false, (*hopReader).readWeight},
	{"onlink", false, func(h *hopReader, _ string) { h.hop.Flags |= unix.RTNH_F_ONLINK }},
	{"realms", true, func(h *hopReader, word string) { h.hop.Realms = h.realms(word) }},
	{"encap", false, func(h *hopReader, word string) { h.hop.Encap = h.encap(word) }},
}

// readHops takes all remaining words: nexthop NH [nexthop NH …].
func (r *routeReader) readHops(string) {
	for {
		h := &hopReader{routeReader: r}
		if !r.More() {
			r.Fail("%q needs via or dev after it", "nexthop")
			return
		}
		for r.More() {
			k := find(hopKeywords, r.Peek())
			if k == nil {
				break
			}
			k.read(h, r.Next())
		}
		r.Route.Hops = append(r.Route.Hops, h.hop)
		r.HopDevs = append(r.HopDevs, h.dev)
		if !r.More() {
			return
		}
		if word := r.Next(); word != "nexthop" {
			near := Unknown("word", word, append(keywordNames(hopKeywords), "nexthop"))
			r.FailHint(near.Hint, "%q is unknown after %q", word, "nexthop")
			return
		}
	}
}

func (h *hopReader) readWeight(word string) {
	value := h.Value(word)
	n, ok := Number(value, 256)
	if !ok || n == 0 {
		h.Fail("weight %q is not a number from 1 to 256", value)
	}
	h.hop.Weight = int(n)
}
