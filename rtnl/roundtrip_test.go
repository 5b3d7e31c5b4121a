package rtnl

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The tests of this file are law 10 for values that nobody thought of: what is
// encoded decodes to the same. They are the same ones each time.

// chance makes values; each field is left out as often as not.
type chance struct{ *rand.Rand }

func newChance() chance { return chance{rand.New(rand.NewPCG(10, 1))} }

func (c chance) coin() bool { return c.IntN(2) == 0 }

func (c chance) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.Uint32())
	}
	return b
}

func (c chance) text(most int) string {
	b := make([]byte, 1+c.IntN(most))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz-_@0123456789"[c.IntN(39)]
	}
	return string(b)
}

func (c chance) addr(is6 bool) netip.Addr {
	a := netip.AddrFrom4([4]byte(c.bytes(4)))
	switch {
	case !is6:
		return a
	case c.IntN(8) == 0:
		return netip.AddrFrom16(a.As16()) // ::ffff:1.2.3.4 is not 1.2.3.4
	}
	return netip.AddrFrom16([16]byte(c.bytes(16)))
}

func (c chance) prefix(is6 bool) netip.Prefix {
	a := c.addr(is6)
	return netip.PrefixFrom(a, c.IntN(a.BitLen()+1))
}

// maybe is a value, or as often the zero value.
func maybe[T any](c chance, value T) (none T) {
	if c.coin() {
		return value
	}
	return none
}

// option makes a value that an option can have.
func (c chance) option(o Option) any {
	switch o.Type {
	case Flag:
		return uint64(1)
	case IPAddr:
		return c.addr(c.coin())
	case LL:
		return LLAddr(c.bytes(6))
	case Addrs:
		is6 := c.coin()
		return []netip.Addr{c.addr(is6), c.addr(is6)}
	case QoSMap:
		return []QoS{{c.Uint32(), c.Uint32()}, {c.Uint32(), c.Uint32()}}
	}
	return c.Uint64() >> (64 - 8*widths[o.Type])
}

// options makes some of those that a kind has; nil is none.
func (c chance) options(kind string) (some Options) {
	for _, o := range KindOptions(kind) {
		if o.Type != Nested && c.coin() {
			if some == nil {
				some = Options{}
			}
			some[o.Name] = c.option(o)
		}
	}
	return some
}

func (c chance) link() LinkConfig {
	kinds := slices.Sorted(maps.Keys(kindOptions))
	kind := append(kinds, "dummy", "")[c.IntN(len(kinds)+2)]
	l := LinkConfig{
		Name: c.text(15), Index: c.Uint32(), Flags: c.Uint32(), Change: c.Uint32(), MTU: maybe(c, c.Uint32()),
		Address: maybe(c, LLAddr(c.bytes(6))), Broadcast: maybe(c, LLAddr(c.bytes(6))), Master: maybe(c, ptr(c.Uint32())),
		Parent: maybe(c, c.Uint32()), ParentNSID: maybe(c, ptr(c.Int32())), Group: maybe(c, ptr(c.Uint32())),
		Alias: maybe(c, ptr(c.text(maxAlias))), TxQueueLen: maybe(c, ptr(c.Uint32())),
		Kind: Kind{Name: kind, Options: c.options(kind)},
		Limits: Limits{
			TxQueues: maybe(c, c.Uint32()), RxQueues: maybe(c, c.Uint32()), GSOMaxSize: maybe(c, c.Uint32()), GSOMaxSegs: maybe(c, c.Uint32()),
			GROMaxSize: maybe(c, c.Uint32()), GSOIPv4MaxSize: maybe(c, c.Uint32()), GROIPv4MaxSize: maybe(c, c.Uint32()),
		},
		LinkMode: maybe(c, ptr(uint8(c.IntN(256)))), Carrier: maybe(c, ptr(uint8(c.IntN(256)))),
		ProtoDown: maybe(c, ptr(uint8(c.IntN(2)))), AddrGenMode: maybe(c, ptr(uint8(c.IntN(256)))),
	}
	if c.coin() {
		l.PortKind = "bridge_slave"
		l.Port = c.options(l.PortKind)
	}
	return l
}

// asReported is the link that the kernel would report if it took all of l.
func (l LinkConfig) asReported() Link {
	return Link{
		Index: l.Index, Name: l.Name, Flags: l.Flags, MTU: l.MTU, Address: l.Address, Broadcast: l.Broadcast,
		Master: value(l.Master), Parent: l.Parent, ParentNSID: l.ParentNSID, Group: value(l.Group), Alias: value(l.Alias),
		TxQueueLen: value(l.TxQueueLen), Kind: l.Kind, PortKind: l.PortKind, Port: l.Port, Limits: l.Limits,
		LinkMode: value(l.LinkMode), Carrier: value(l.Carrier), ProtoDown: value(l.ProtoDown) != 0, AddrGenMode: l.AddrGenMode,
	}
}

// value is what p points to; zero if it is nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func TestLinkDecodesWhatItEncodes(t *testing.T) {
	c := newChance()
	for range 2000 {
		config := c.link()
		body, err := config.encode()
		if err != nil {
			t.Fatalf("%+v: %v", config, err)
		}
		got, err := decodeLink(body)
		if err != nil {
			t.Fatalf("%+v: %v", config, err)
		}
		if got.Has(unix.IFLA_MTU) != (config.MTU != 0) || got.Has(unix.IFLA_IFALIAS) != (config.Alias != nil) {
			t.Errorf("seen %x of %+v", got.Seen, config)
		}
		got.Seen = [2]uint64{}
		if diff := cmp.Diff(config.asReported(), got, cmpAddr); diff != "" {
			t.Fatalf("%+v (-encoded +decoded):\n%s", config, diff)
		}
	}
}

// TestEqualLinksAreEqualBytes: options have no order, their bytes have.
func TestEqualLinksAreEqualBytes(t *testing.T) {
	c := newChance()
	for range 200 {
		config := c.link()
		first, _ := config.encode()
		config.Kind.Options = maps.Clone(config.Kind.Options)
		if again, _ := config.encode(); string(first) != string(again) {
			t.Fatalf("%+v is encoded in two ways", config)
		}
	}
}

func TestAddrDecodesWhatItEncodes(t *testing.T) {
	c := newChance()
	for range 2000 {
		is6 := c.coin()
		want := Addr{
			Link: 1 + c.Uint32N(1<<31), Prefix: c.prefix(is6), Peer: maybe(c, c.addr(is6)), Label: maybe(c, c.text(15)),
			Scope: uint8(c.IntN(256)), Flags: maybe(c, c.Uint32()), Metric: maybe(c, c.Uint32()), Proto: uint8(c.IntN(256)),
		}
		if !is6 {
			want.Broadcast = maybe(c, c.addr(false))
		}
		if c.coin() {
			want.Preferred = c.Uint32()
			want.Valid = want.Preferred + c.Uint32N(Forever-want.Preferred+1)
		}
		body, err := encodeAddr(want)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if got, err := decodeAddr(body); err != nil || got != want {
			t.Fatalf("encoded %+v\ndecoded %+v, %v", want, got, err)
		}
	}
}

func TestNeighDecodesWhatItEncodes(t *testing.T) {
	c := newChance()
	for range 2000 {
		want := Neigh{
			Link: c.Uint32(), Addr: c.addr(c.coin()), LLAddr: maybe(c, LLAddr(c.bytes(1+c.IntN(maxLLAddr)))), State: uint16(c.Uint32()),
			Flags: uint32(c.IntN(256)), FlagsExt: maybe(c, c.Uint32()), Type: uint8(c.IntN(256)), Protocol: uint8(c.IntN(256)),
		}
		body, err := encodeNeigh(want)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if got, err := decodeNeigh(body); err != nil || got != want {
			t.Fatalf("encoded %+v\ndecoded %+v, %v", want, got, err)
		}
	}
}

func (c chance) hop(is6 bool) Hop {
	h := Hop{Gateway: maybe(c, c.addr(is6)), Link: c.Uint32(), Weight: 1 + c.IntN(256), Flags: uint8(c.IntN(256)), Realms: maybe(c, c.Uint32())}
	if c.coin() {
		h.Gateway = c.addr(!is6)
	}
	h.Encap = maybe(c, c.encap())
	return h
}

// encap is one whole attribute, of a number that is no tunnel's.
func (c chance) encap() Encap {
	attr := binary.NativeEndian.AppendUint16(nil, 8)
	attr = binary.NativeEndian.AppendUint16(attr, 77)
	return Encap{Type: uint16(1 + c.IntN(1<<16-1)), Data: string(append(attr, c.bytes(4)...))}
}

func (c chance) metrics() (m Metrics) {
	for i := range m.Values {
		if i != 0 && i != unix.RTAX_CC_ALGO {
			m.Values[i] = maybe(c, c.Uint32())
		}
	}
	m.Congestion = maybe(c, c.text(15))
	return m
}

func (c chance) route() Route {
	is6 := c.coin()
	r := Route{
		Dst: c.prefix(is6).Masked(), Type: uint8(c.IntN(256)), Table: 1 + c.Uint32N(1<<31), Protocol: uint8(c.IntN(256)), Scope: uint8(c.IntN(256)),
		TOS: uint8(c.IntN(256)), Metric: maybe(c, c.Uint32()), Link: maybe(c, c.Uint32()), PrefSrc: maybe(c, c.addr(is6)), Metrics: maybe(c, c.metrics()),
		Pref: maybe(c, uint8(c.IntN(4))), Realms: maybe(c, c.Uint32()), Expires: maybe(c, c.Uint32()), NextHop: maybe(c, c.Uint32()),
		Flags: maybe(c, uint32(unix.RTNH_F_ONLINK)) | maybe(c, uint32(unix.RTNH_F_PERVASIVE)), Encap: maybe(c, c.encap()),
		Gateway: maybe(c, c.addr(is6)), Src: maybe(c, c.prefix(is6)),
	}
	if c.coin() {
		r.Table = 1 + c.Uint32N(255)
	}
	for range maybe(c, c.IntN(20)) {
		r.Hops = append(r.Hops, c.hop(is6))
	}
	return r
}

func TestAnyRouteDecodesWhatItEncodes(t *testing.T) {
	c := newChance()
	for range 2000 {
		want := c.route()
		body, err := encodeRoute(want)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		got, err := decodeRoute(body)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if diff := cmp.Diff(want, got, cmpRoute, cmpAddr); diff != "" {
			t.Fatalf("%v (-encoded +decoded):\n%s", want, diff)
		}
	}
}
