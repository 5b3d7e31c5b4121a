package rtnl

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestQdiscRequests compares each request with the bytes of its body. The tc(8) commands
// are equivalent, but their messages differ: tc counts in ticks of 64 ns, this package in
// nanoseconds (TCA_NETEM_LATENCY64).
func TestQdiscRequests(t *testing.T) {
	const root = "0000000007000000" + "00000000ffffffff00000000" // v0 is link 7
	// TCA_NETEM_CORR, TCA_NETEM_REORDER and TCA_NETEM_CORRUPT: none.
	const zeros = "10000100000000000000000000000000" + "0c0003000000000000000000" + "0c0004000000000000000000"
	for _, tt := range []struct {
		tc      string
		request Request
		want    string
	}{
		{
			"qdisc replace dev v0 root netem delay 50ms 5ms loss 2% rate 1mbit",
			ReplaceNetem(Netem{Link: 7, Delay: 50 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 2, Rate: 1e6}),
			root + "0a0001006e6574656d000000" + "70000200" +
				"00000000e803000052b81e05000000000000000000000000" +
				"0c000a0080f0fa0200000000" + "0c000b00404b4c0000000000" + zeros + "1400060048e80100000000000000000000000000",
		},
		{
			"qdisc replace dev v0 root netem rate 40gbit",
			ReplaceNetem(Netem{Link: 7, Rate: 40e9}),
			root + "0a0001006e6574656d000000" + "7c000200" +
				"00000000e803000000000000000000000000000000000000" +
				"0c000a000000000000000000" + "0c000b000000000000000000" + zeros +
				"14000600ffffffff000000000000000000000000" + "0c00080000f2052a01000000",
		},
		{
			"qdisc replace dev v0 root netem rate 0",
			ReplaceNetem(Netem{Link: 7}),
			root + "0a0001006e6574656d000000" + "70000200" +
				"00000000e803000000000000000000000000000000000000" +
				"0c000a000000000000000000" + "0c000b000000000000000000" + zeros +
				"1400060000000000000000000000000000000000",
		},
		{"qdisc del dev v0 root", DeleteQdisc(7), root},
	} {
		t.Run(tt.tc, func(t *testing.T) {
			if tt.request.err != nil {
				t.Fatal(tt.request.err)
			}
			if diff := cmp.Diff(nativeBody(t, "qdisc", tt.want), hex.EncodeToString(tt.request.msg.Data)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNetemRoundTrip: the decoded value equals the encoded one, with the precision that the
// kernel stores.
func TestNetemRoundTrip(t *testing.T) {
	for _, want := range []Netem{
		{Link: 1, Limit: 1000},
		{Link: 7, Delay: time.Hour, Jitter: time.Nanosecond, Loss: 100, Rate: 8, Limit: 5},
		{Link: math.MaxUint32, Loss: 0.001, Rate: 1 << 40, Limit: math.MaxUint32},
	} {
		body, err := encodeNetem(want)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := decodeNetem(body)
		if err != nil || !ok {
			t.Fatal(got, ok, err)
		}
		if math.Abs(got.Loss-want.Loss) > 1e-7 {
			t.Errorf("loss %v, want %v", got.Loss, want.Loss)
		}
		got.Loss = want.Loss
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestNetemRefuses(t *testing.T) {
	for _, n := range []Netem{{Loss: -1}, {Loss: 100.1}, {Loss: math.NaN()}, {Delay: -1}, {Jitter: -1}} {
		if ReplaceNetem(n).err == nil {
			t.Errorf("%+v is accepted", n)
		}
	}
}

// TestNetemOthers: queueing disciplines that are not netem, or not at the root, are ignored.
func TestNetemOthers(t *testing.T) {
	body, err := encodeNetem(Netem{Link: 7})
	if err != nil {
		t.Fatal(err)
	}
	inner := append([]byte(nil), body...)
	binary.NativeEndian.PutUint32(inner[12:], 1)
	other := append([]byte(nil), body...)
	copy(other[sizeofTcMsg+4:], "tnetm\x00")
	for _, b := range [][]byte{inner, other, make([]byte, sizeofTcMsg)} {
		if n, ok, err := decodeNetem(b); ok || err != nil {
			t.Errorf("%x is %+v, %v", b, n, err)
		}
	}
}

func FuzzDecodeNetem(f *testing.F) {
	body, err := encodeNetem(Netem{Link: 7, Delay: 1, Loss: 1, Rate: 40e9})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add(body[:sizeofTcMsg+13])
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok, err := decodeNetem(b)
		if ok && err == nil && n.Rate == 0 && n.Loss >= 0 {
			if _, err := encodeNetem(Netem{Link: n.Link, Loss: n.Loss}); err != nil {
				t.Errorf("%x is %+v, which cannot be encoded: %v", b, n, err)
			}
		}
	})
}

// TestPortVLANRequests compares each request with the bytes of bridge(8). The only
// difference is the flag NLA_F_NESTED.
func TestPortVLANRequests(t *testing.T) {
	const port = "07000000070000000000000000000000" // v0 is link 7
	for _, tt := range []struct {
		bridge  string
		request Request
		want    string
	}{
		{"vlan add dev v0 vid 10 pvid untagged", AddPortVLAN(PortVLAN{Link: 7, ID: 10, PVID: true, Untagged: true}),
			port + "0c001a80" + "0800020006000a00"},
		{"vlan add dev v0 vid 20 self", AddPortVLAN(PortVLAN{Link: 7, ID: 20, Self: true}),
			port + "14001a80" + "0600000002000000" + "0800020000001400"},
		{"vlan del dev v0 vid 10", DeletePortVLAN(PortVLAN{Link: 7, ID: 10}), port + "0c001a80" + "0800020000000a00"},
	} {
		t.Run(tt.bridge, func(t *testing.T) {
			if tt.request.err != nil {
				t.Fatal(tt.request.err)
			}
			if diff := cmp.Diff(nativeBody(t, "link", tt.want), hex.EncodeToString(tt.request.msg.Data)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPortVLANRoundTrip(t *testing.T) {
	for _, want := range []PortVLAN{
		{Link: 7, ID: 10, PVID: true, Untagged: true}, {Link: 7, ID: 4094}, {Link: 7, ID: 1, Untagged: true},
	} {
		body, err := encodeVLAN(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeVLANs(body)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%+v becomes %+v, %v", want, got, err)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, unix.SizeofIfInfomsg-1)} {
		if _, err := decodeVLANs(b); err == nil {
			t.Errorf("%x is accepted", b)
		}
	}
}

func FuzzDecodeVLANs(f *testing.F) {
	body, err := encodeVLAN(PortVLAN{Link: 7, ID: 10, PVID: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		vlans, err := decodeVLANs(b)
		if err == nil && len(vlans)*sizeofVLANInfo > len(b) {
			t.Errorf("%d VLANs in %d bytes", len(vlans), len(b))
		}
	})
}
