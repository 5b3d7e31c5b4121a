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

// The tests of this file check law 10 with random values: the decoded value equals the
// encoded one. The random values are the same in each run.

// A generator makes random values. Each optional field is zero with probability 1/2.
type generator struct{ *rand.Rand }

func newGenerator() generator { return generator{rand.New(rand.NewPCG(10, 1))} }

func (g generator) coin() bool { return g.IntN(2) == 0 }

func (g generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g generator) text(max int) string {
	b := make([]byte, 1+g.IntN(max))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz-_@0123456789"[g.IntN(39)]
	}
	return string(b)
}

func (g generator) addr(is6 bool) netip.Addr {
	a := netip.AddrFrom4([4]byte(g.bytes(4)))
	switch {
	case !is6:
		return a
	case g.IntN(8) == 0:
		return netip.AddrFrom16(a.As16()) // ::ffff:1.2.3.4 is not 1.2.3.4
	}
	return netip.AddrFrom16([16]byte(g.bytes(16)))
}

func (g generator) prefix(is6 bool) netip.Prefix {
	a := g.addr(is6)
	return netip.PrefixFrom(a, g.IntN(a.BitLen()+1))
}

// maybe returns value or the zero value, each with probability 1/2.
func maybe[T any](g generator, value T) (none T) {
	if g.coin() {
		return value
	}
	return none
}

// option returns a random value for an option.
func (g generator) option(o Option) any {
	switch o.Type {
	case Flag:
		return uint64(1)
	case IPAddr:
		return g.addr(g.coin())
	case LL:
		return LLAddr(g.bytes(6))
	case LLs:
		return []LLAddr{LLAddr(g.bytes(6)), LLAddr(g.bytes(6))}
	case Addrs:
		is6 := g.coin()
		return []netip.Addr{g.addr(is6), g.addr(is6)}
	case QoSMap:
		return []QoS{{g.Uint32(), g.Uint32()}, {g.Uint32(), g.Uint32()}}
	}
	return g.Uint64() >> (64 - 8*widths[o.Type])
}

// options returns some of the options of a kind; nil if none.
func (g generator) options(kind string) (some Options) {
	for _, o := range KindOptions(kind) {
		if o.Type != Nested && g.coin() {
			if some == nil {
				some = Options{}
			}
			some[o.Name] = g.option(o)
		}
	}
	return some
}

func (g generator) link() LinkConfig {
	kinds := slices.Sorted(maps.Keys(kindOptions))
	kind := append(kinds, "dummy", "")[g.IntN(len(kinds)+2)]
	l := LinkConfig{
		Name: g.text(15), Index: g.Uint32(), Flags: g.Uint32(), Change: g.Uint32(), MTU: maybe(g, g.Uint32()),
		Address: maybe(g, LLAddr(g.bytes(6))), Broadcast: maybe(g, LLAddr(g.bytes(6))), Master: maybe(g, ptr(g.Uint32())),
		Parent: maybe(g, g.Uint32()), ParentNSID: maybe(g, ptr(g.Int32())), Group: maybe(g, ptr(g.Uint32())),
		Alias: maybe(g, ptr(g.text(maxAlias))), TxQueueLen: maybe(g, ptr(g.Uint32())),
		Kind: Kind{Name: kind, Options: g.options(kind)},
		Limits: Limits{
			TxQueues: maybe(g, g.Uint32()), RxQueues: maybe(g, g.Uint32()), GSOMaxSize: maybe(g,
				g.Uint32()), GSOMaxSegs: maybe(g, g.Uint32()),
			GROMaxSize: maybe(g, g.Uint32()), GSOIPv4MaxSize: maybe(g, g.Uint32()), GROIPv4MaxSize: maybe(g, g.Uint32()),
		},
		LinkMode: maybe(g, ptr(uint8(g.IntN(256)))), Carrier: maybe(g, ptr(uint8(g.IntN(256)))),
		ProtoDown: maybe(g, ptr(uint8(g.IntN(2)))), AddrGenMode: maybe(g, ptr(uint8(g.IntN(256)))),
	}
	if g.coin() {
		l.PortKind = "bridge_slave"
		l.Port = g.options(l.PortKind)
	}
	return l
}

// asReported returns the link that the kernel would report after it applied all of l.
func (l LinkConfig) asReported() Link {
	return Link{
		Index: l.Index, Name: l.Name, Flags: l.Flags, MTU: l.MTU, Address: l.Address, Broadcast: l.Broadcast,
		Master: value(l.Master), Parent: l.Parent, ParentNSID: l.ParentNSID, Group: value(l.Group), Alias: value(l.Alias),
		TxQueueLen: value(l.TxQueueLen), Kind: l.Kind, PortKind: l.PortKind, Port: l.Port, Limits: l.Limits,
		LinkMode: value(l.LinkMode), Carrier: value(l.Carrier), ProtoDown: value(l.ProtoDown) != 0,
		AddrGenMode: l.AddrGenMode,
	}
}

// value returns *p; zero if p is nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func TestLinkDecodesWhatItEncodes(t *testing.T) {
	g := newGenerator()
	for range 2000 {
		config := g.link()
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

// TestEqualLinksAreEqualBytes: the map of options has no order, but the encoding has.
func TestEqualLinksAreEqualBytes(t *testing.T) {
	g := newGenerator()
	for range 200 {
		config := g.link()
		first, _ := config.encode()
		config.Kind.Options = maps.Clone(config.Kind.Options)
		if again, _ := config.encode(); string(first) != string(again) {
			t.Fatalf("%+v has two encodings", config)
		}
	}
}

func TestAddrDecodesWhatItEncodes(t *testing.T) {
	g := newGenerator()
	for range 2000 {
		is6 := g.coin()
		want := Addr{
			Link: 1 + g.Uint32N(1<<31), Prefix: g.prefix(is6), Peer: maybe(g, g.addr(is6)), Label: maybe(g, g.text(15)),
			Scope: uint8(g.IntN(256)), Flags: maybe(g, g.Uint32()), Metric: maybe(g, g.Uint32()), Proto: uint8(g.IntN(256)),
		}
		if !is6 {
			want.Broadcast = maybe(g, g.addr(false))
		}
		if g.coin() {
			want.Preferred = g.Uint32()
			want.Valid = want.Preferred + g.Uint32N(Forever-want.Preferred+1)
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
	g := newGenerator()
	for range 2000 {
		want := Neigh{
			Link: g.Uint32(), Addr: g.addr(g.coin()), LLAddr: maybe(g, LLAddr(g.bytes(1+g.IntN(maxLLAddr)))),
			State: uint16(g.Uint32()), Flags: uint32(g.IntN(256)), FlagsExt: maybe(g, g.Uint32()),
			Type: uint8(g.IntN(256)), Protocol: uint8(g.IntN(256)),
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

func (g generator) hop(is6 bool) Hop {
	h := Hop{
		Gateway: maybe(g, g.addr(is6)), Link: g.Uint32(), Weight: 1 + g.IntN(256), Flags: uint8(g.IntN(256)),
		Realms: maybe(g, g.Uint32()),
	}
	if g.coin() {
		h.Gateway = g.addr(!is6)
	}
	h.Encap = maybe(g, g.encap())
	return h
}

// encap returns a tunnel with one attribute, which no tunnel uses.
func (g generator) encap() Encap {
	attr := binary.NativeEndian.AppendUint16(nil, 8)
	attr = binary.NativeEndian.AppendUint16(attr, 77)
	return Encap{Type: uint16(1 + g.IntN(1<<16-1)), Data: string(append(attr, g.bytes(4)...))}
}

func (g generator) metrics() (m Metrics) {
	for i := range m.Values {
		if i != 0 && i != unix.RTAX_CC_ALGO {
			m.Values[i] = maybe(g, g.Uint32())
		}
	}
	m.Congestion = maybe(g, g.text(15))
	return m
}

func (g generator) route() Route {
	is6 := g.coin()
	r := Route{
		Dst: g.prefix(is6).Masked(), Type: uint8(g.IntN(256)), Table: 1 + g.Uint32N(1<<31),
		Protocol: uint8(g.IntN(256)), Scope: uint8(g.IntN(256)), TOS: uint8(g.IntN(256)),
		Metric: maybe(g, g.Uint32()), Link: maybe(g, g.Uint32()), PrefSrc: maybe(g, g.addr(is6)),
		Metrics: maybe(g, g.metrics()), Pref: maybe(g, uint8(g.IntN(4))), Realms: maybe(g, g.Uint32()),
		Expires: maybe(g, g.Uint32()), NextHop: maybe(g, g.Uint32()),
		Flags: maybe(g, uint32(unix.RTNH_F_ONLINK)) | maybe(g, uint32(unix.RTNH_F_PERVASIVE)), Encap: maybe(g, g.encap()),
		Gateway: maybe(g, g.addr(is6)), Src: maybe(g, g.prefix(is6)),
	}
	if g.coin() {
		r.Table = 1 + g.Uint32N(255)
	}
	for range maybe(g, g.IntN(20)) {
		r.Hops = append(r.Hops, g.hop(is6))
	}
	return r
}

func TestAnyRouteDecodesWhatItEncodes(t *testing.T) {
	g := newGenerator()
	for range 2000 {
		want := g.route()
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
