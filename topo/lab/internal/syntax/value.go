package syntax

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
	"github.com/vnet-lab/vnet/topo"
)

// Scalar reads a single value with parse. expected is the message if parse
// returns an error that [Invalid] did not make.
func Scalar[T any](d *Decoder, n *yaml.Node, p *T, expected string, parse func(string) (T, error)) {
	s, ok := d.text(n)
	if !ok {
		return
	}
	v, err := parse(s)
	switch {
	case err == nil:
		*p = v
	case !d.ReportInvalid(n, err):
		d.Mistake(PosOf(n), s, fmt.Sprintf("%s: %q: %s", d.key, s, expected), "")
	}
}

// A valueError is a mistake in a value: the wrong text, what is wrong, and what to write instead.
type valueError struct{ text, message, hint string }

// Error returns the message without a place. The decoder adds the place.
func (e valueError) Error() string { return e.message }

// Invalid returns the error of a value that is not valid: the wrong text, what is wrong, and what to write
// instead, which may be empty.
func Invalid(text, message, hint string) error { return valueError{text, message, hint} }

// ReportInvalid adds err as a mistake at n if [Invalid] made it, and reports whether it did.
func (d *Decoder) ReportInvalid(n *yaml.Node, err error) bool {
	e := valueError{}
	if !errors.As(err, &e) {
		return false
	}
	d.Mistake(PosOf(n), e.text, e.message, e.hint)
	return true
}

// Within returns v if it is between 0 and hi. If not, it adds a mistake and returns 0.
func (d *Decoder) Within(at Pos, key string, v, hi int) int {
	if v < 0 || v > hi {
		d.Mistake(at, strconv.Itoa(v), fmt.Sprintf("%s: %d is out of range", key, v), fmt.Sprintf("the largest is %d", hi))
		return 0
	}
	return v
}

// ErrWord means only that a word is not valid. The decoder adds which kind of
// word it expected.
var ErrWord = errors.New("not a valid word")

// Bool reads true or false into to. It reports false if n is something else. Other words for true and false, such as
// yes, are a mistake.
func Bool(d *Decoder, n *yaml.Node, to *bool) bool {
	if _, err := ParseBool(n.Value); n.Kind != yaml.ScalarNode || errors.Is(err, ErrWord) {
		return false
	}
	d.Value(n, to)
	return true
}

// ParseBool reads true or false. Other words for them are a mistake of their own.
func ParseBool(s string) (bool, error) {
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
	return false, ErrWord
}

// ParseAddr reads an address without a zone.
func ParseAddr(s string) (netip.Addr, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return netip.Addr{}, valueError{s, fmt.Sprintf("%q has a prefix length", s),
			"write the address alone: " + p.Addr().String()}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, ErrWord
	}
	return a.Unmap(), nil
}

// ParsePrefix reads an address with a prefix length. It may have bits set after it.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.Prefix{}, valueError{s, fmt.Sprintf("%q has no prefix length", s),
			fmt.Sprintf("write %s/%d, for example", s, exampleBits(a))}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, ErrWord
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
		return 0, ErrWord
	}
	return v, nil
}

func parsePercent(s string) (Percent, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(s, "%")), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, ErrWord
	}
	return Percent(v), nil
}

func parseRate(s string) (Bitrate, error) {
	for _, u := range display.RateUnits {
		if digits, ok := strings.CutSuffix(strings.ToLower(s), u.Suffix); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
			if err != nil || !(v > 0) || v*float64(u.Bits) > math.MaxInt64 {
				return 0, ErrWord
			}
			return Bitrate(v * float64(u.Bits)), nil
		}
	}
	return 0, ErrWord
}

// A Percent is a percentage, 0 to 100.
type Percent float64

// A Bitrate is a number of bits per second.
type Bitrate uint64

// A Repeat is a range of numbers, both ends included.
type Repeat struct{ first, last int }

// Read reads a count or a range.
func (r *Repeat) Read(d *Decoder, n *yaml.Node) {
	Scalar(d, n, r, "expected a number such as 100 or a range such as 5-20", parseRepeat)
}

// maxRepeat limits repeat. No machine has room for more hosts.
const maxRepeat = 65536

func parseRepeat(s string) (Repeat, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		from, to = "1", s
	}
	first, err1 := strconv.Atoi(strings.TrimSpace(from))
	last, err2 := strconv.Atoi(strings.TrimSpace(to))
	switch {
	case err1 != nil || err2 != nil || first < 0:
		return Repeat{}, ErrWord
	case last < first || last-first >= maxRepeat:
		return Repeat{}, valueError{s, fmt.Sprintf("repeat: %s is an empty or too long range", s),
			fmt.Sprintf("write the smaller number first, and at most %d numbers", maxRepeat)}
	}
	return Repeat{first, last}, nil
}

// parseMAC reads the address of a device. Among those of a link's two ends, zero stands for an end whose address the
// file does not give.
func (d *Decoder) parseMAC(s string) (topo.MAC, error) {
	mac, err := topo.ParseMAC(s)
	switch {
	case err != nil:
	case mac[0]&1 != 0:
		return mac, Invalid(s, d.key+": a device cannot have the multicast address "+s,
			"write an address whose first byte is even, such as 02:00:5e:10:00:01")
	case mac.IsZero() && d.key != "macs":
		return mac, Invalid(s, d.key+": a device cannot have the address "+s, "remove "+d.key+", or write another address")
	}
	return mac, err
}
