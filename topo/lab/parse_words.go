package lab

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
)

// errWord means only that a word is not valid. The decoder adds which kind of
// word it expected.
var errWord = errors.New("not a valid word")

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "yes", "on", "y":
		return false, valueError{s, fmt.Sprintf("%q is neither true nor false", s), "write true"}
	case "no", "off", "n":
		return false, valueError{s, fmt.Sprintf("%q is neither true nor false", s), "write false"}
	}
	return false, errWord
}

func parseAddr(s string) (netip.Addr, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return netip.Addr{}, valueError{s, fmt.Sprintf("%q has a prefix length", s),
			"write the address alone: " + p.Addr().String()}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errWord
	}
	return a.Unmap(), nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.Prefix{}, valueError{s, fmt.Sprintf("%q has no prefix length", s),
			fmt.Sprintf("write %s/%d, for example", s, exampleBits(a))}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, errWord
	}
	return p, nil
}

func exampleBits(a netip.Addr) int {
	if a.Is4() {
		return 24
	}
	return 64
}

func parseDuration(s string) (time.Duration, error) {
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return 0, errWord
	}
	return v, nil
}

func parseMTU(s string) (mtu mtuChoice, err error) {
	if s == "auto" {
		return mtuChoice{auto: true}, nil
	}
	mtu.bytes, err = strconv.Atoi(s)
	return mtu, err
}

func parseOffload(s string) (offloadChoice, error) {
	switch s {
	case "on", "true":
		return false, nil
	case "off", "false":
		return true, nil
	}
	return false, errWord
}

func parsePercent(s string) (percent, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(s, "%")), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, errWord
	}
	return percent(v), nil
}

func parseRate(s string) (bitrate, error) {
	for _, u := range display.RateUnits {
		if digits, ok := strings.CutSuffix(strings.ToLower(s), u.Suffix); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
			if err != nil || !(v > 0) || v*float64(u.Bits) > math.MaxInt64 {
				return 0, errWord
			}
			return bitrate(v * float64(u.Bits)), nil
		}
	}
	return 0, errWord
}

func (r *repeat) read(d *decoder, n *yaml.Node) {
	scalar(d, n, r, "expected a number such as 100 or a range such as 5-20", parseRepeat)
}

// maxRepeat limits repeat. No machine has room for more hosts.
const maxRepeat = 65536

func parseRepeat(s string) (repeat, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		from, to = "1", s
	}
	first, err1 := strconv.Atoi(strings.TrimSpace(from))
	last, err2 := strconv.Atoi(strings.TrimSpace(to))
	switch {
	case err1 != nil || err2 != nil || first < 0:
		return repeat{}, errWord
	case last < first || last-first >= maxRepeat:
		return repeat{}, valueError{s, fmt.Sprintf("repeat: %s is an empty or too long range", s),
			fmt.Sprintf("write the smaller number first, and at most %d numbers", maxRepeat)}
	}
	return repeat{first, last}, nil
}

func (c *natChoice) read(d *decoder, n *yaml.Node) {
	if on, err := parseBool(n.Value); n.Kind == yaml.ScalarNode && err == nil {
		c.on = on
		return
	}
	d.value(n, &c.to)
	c.on = true
}

func (c *routedChoice) read(d *decoder, n *yaml.Node) {
	if on, err := parseBool(n.Value); n.Kind == yaml.ScalarNode && err == nil {
		c.on = on
		return
	}
	d.value(n, &c.from)
	c.on = true
}

func (c *isolateChoice) read(d *decoder, n *yaml.Node) {
	if on, err := parseBool(n.Value); n.Kind == yaml.ScalarNode && err == nil {
		c.hosts = on
		return
	}
	d.value(n, &c.from)
}

// read reads a list of network names, or a mapping of network names to keys.
func (as *attachments) read(d *decoder, n *yaml.Node) {
	switch {
	case n.Kind == yaml.MappingNode:
		d.value(n, &as.table)
	case isNull(n):
	case n.Kind == yaml.ScalarNode:
		as.add(n.Value, n)
	default:
		for _, item := range n.Content {
			var name string
			if d.value(item, &name); name != "" {
				as.add(name, item)
			}
		}
	}
}

func (as *attachments) add(name string, n *yaml.Node) {
	as.table = append(as.table, entry[fileAttachment]{Key: name, Value: fileAttachment{At: posOf(n)}, at: posOf(n)})
}

// words iterates over the words of a value.
type words struct {
	rest []string
	last string // the word that next returned last
}

func (w *words) next() string {
	w.last = ""
	if len(w.rest) > 0 {
		w.last, w.rest = w.rest[0], w.rest[1:]
	}
	return w.last
}

func (w *words) peek() string {
	if len(w.rest) == 0 {
		return ""
	}
	return w.rest[0]
}

// take skips the next word if it equals word, and reports whether it did.
func (w *words) take(word string) bool {
	if w.peek() != word {
		return false
	}
	w.next()
	return true
}

// nextNumber reads a number between lo and hi, the value of key.
func (w *words) nextNumber(key string, lo, hi uint64) (uint64, error) {
	s := w.next()
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v < lo || v > hi {
		return 0, valueError{s, fmt.Sprintf("%s %s: expected a number from %d to %d", key, s, lo, hi), ""}
	}
	return v, nil
}

// nextAddr reads an address, the value of key.
func (w *words) nextAddr(key string) (netip.Addr, error) {
	s := w.next()
	a, err := parseAddr(s)
	if err != nil {
		return a, valueError{s, strings.TrimSpace(key+" "+s) + ": expected an address", ""}
	}
	return a, nil
}
