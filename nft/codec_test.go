//go:build linux

package nft

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// elementsBody returns the body of a reply with elements.
func elementsBody(elements ...[]byte) []byte {
	return append([]byte{protoInet, 0, 0, 0}, nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, slices.Concat(elements...))...)
}

// someRules returns a rule for every set.
func someRules() []Rule {
	var rules []Rule
	for _, to := range []string{"192.168.15.2", "fd00::2"} {
		to := netip.MustParseAddr(to)
		all := netip.PrefixFrom(to, 0).Masked()
		half := netip.PrefixFrom(to, 1).Masked() // up to the highest address
		rules = append(rules, Masquerade{Source: half}, Masquerade{Source: all}, Masquerade{Source: half, Out: "eth0"},
			Masquerade{Source: half, Random: true}, Masquerade{Source: all, Random: true},
			Masquerade{Source: half, Out: "eth0", Random: true},
			SourceNAT{Source: half, To: to}, SourceNAT{Source: half, Out: "e", To: to})
		for _, f := range []Forward{{}, {In: "exactly15bytes."}, {Addr: to}, {Addr: to, In: "eth0"}} {
			f.Proto, f.To, f.Ports, f.ToPort = SCTP, to, Ports{1, 0xffff}, 1
			single := f
			single.Ports, single.ToPort = Port(0xffff), 1
			moving := f
			moving.Ports, moving.ToPort = Ports{10, 12}, 0xfffd
			rules = append(rules, f, single, moving)
		}
	}
	return append(rules, Masquerade{Out: "eth0"}, Masquerade{Out: "eth0", Random: true},
		Isolate{In: "a", Out: "b"}, Isolate{In: "a", Out: "a"},
		Own{"a"}, Closed{"a"}, Hairpin{"exactly15bytes."},
		Antispoof{Port: "a"}, Antispoof{"exactly15bytes.", true, false}, Antispoof{"b", true, true},
		PortAddress{Port: "a", MAC: MAC{2, 0, 0, 0, 0, 1}},
		PortAddress{"exactly15bytes.", MAC{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("255.255.255.255")},
		PortAddress{"exactly15bytes.", MAC{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("fd00::1")},
		Allow{"a", netip.MustParsePrefix("128.0.0.0/1")}, Allow{"exactly15bytes.", netip.MustParsePrefix("::/0")},
		Gate{"exactly15bytes.", MAC{2, 0xff, 0xff, 0xff, 0xff, 0xff}}, Fastpath{Device: "eth0"},
		Tenant{netip.MustParseAddr("10.0.0.2")}, Tenant{netip.MustParseAddr("fd00::1")})
}

// TestElementsRoundTrip checks that encoded elements decode to the same rules.
func TestElementsRoundTrip(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range someRules() {
		have := content{elements: make(map[element]count)}
		for _, e := range r.elements() {
			s := setNamed(e.set)
			seen[e.set] = true
			if base, _, ok := cutLength(e.set); ok {
				seen[base] = true
			}
			got, err := decodeElements(elementsBody(encodeElement(e, s)), s)
			if err != nil {
				t.Fatalf("%s: %v", r, err)
			}
			for _, g := range joinIntervals(got, s) {
				if g.element != e {
					t.Errorf("%s: sent %q, got %q", r, e, g.element)
				}
				have.elements[g.element] = count{1, 2}
			}
		}
		rules := have.rules()
		n := uint64(len(r.elements()))
		if len(rules) != 1 || rules[0] != (CountedRule{r, n, 2 * n}) {
			t.Errorf("%s: read back as %v", r, rules)
		}
	}
	for _, s := range fixedSets() {
		if s.decode != nil && !seen[s.name] {
			t.Errorf("no rule uses the set %s", s.name)
		}
	}
}

// TestForeignIntervals checks intervals that nft made: nft adds an end element before the first interval, and the order
// is arbitrary. The end of an interval and the start of an adjacent one have the same key.
func TestForeignIntervals(t *testing.T) {
	s := setNamed("masquerade4_24")
	raw := func(key string, end bool) rawElement {
		a := netip.MustParseAddr(key)
		return rawElement{element: element{set: s.name, key: string(a.AsSlice())}, intervalEnd: end}
	}
	var got []string
	for _, e := range joinIntervals([]rawElement{
		raw("10.0.2.0", true), raw("10.0.1.0", false), raw("10.0.1.0", true), raw("10.0.0.0", false),
		raw("0.0.0.0", true), raw("128.0.0.0", false),
	}, s) {
		got = append(got, e.text(s))
	}
	if diff := cmp.Diff([]string{"10.0.0.0/24", "10.0.1.0/24", "128.0.0.0/1"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSetEncoding compares with nft add map inet vnet dnat4_range { type inet_proto . inet_service : ipv4_addr; flags
// interval; counter; }, as nft --debug=mnl prints it.
func TestSetEncoding(t *testing.T) {
	e := encoder{table: table{protoInet, "vnet"}}
	e.set(setNamed("dnat4_range"), 1)
	want := `
		01000000
		0900 0100 766e657400000000
		1000 0200 646e6174345f72616e676500
		0800 0300 0000008c
		0800 0a00 00000001
		0800 0400 0000030d
		0800 0500 00000008
		0800 0600 00000007
		0800 0700 00000004
		2000 0980 1c00 0280
			0c00 0180 0800 0100 00000001
			0c00 0180 0800 0100 00000002
		1000 1180 0c00 0100 636f756e74657200`
	var native strings.Builder
	for _, word := range strings.Fields(want) {
		// Attribute headers, written here in little endian, are in host byte order; their content is in network
		// byte order.
		if len(word) == 4 && binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			word = word[2:] + word[:2]
		}
		native.WriteString(word)
	}
	if diff := cmp.Diff(native.String(), hex.EncodeToString(e.out[0].Data)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRefusalMessages: the kernel reports the offset of the refused attribute. The error names the object at this
// offset, and the option that the kernel lacks.
func TestRefusalMessages(t *testing.T) {
	rules := []Rule{
		Masquerade{Source: netip.MustParsePrefix("10.0.0.0/8")},
		Forward{Proto: TCP, Ports: Port(80), To: netip.MustParseAddr("10.0.0.2"), ToPort: 80},
		Forward{Proto: TCP, Ports: Port(81), To: netip.MustParseAddr("10.0.0.2"), ToPort: 81},
	}
	c, err := planChange(table{protoInet, "vnet"}, content{}, nil, rules)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.messages()
	if err != nil {
		t.Fatal(err)
	}
	// refused finds a message by its object, and an offset in it by the bytes there.
	refused := func(object, at string, errno unix.Errno) string {
		t.Helper()
		for _, m := range messages {
			if strings.Contains(m.object, object) {
				offset := 0
				if at != "" {
					offset = unix.NLMSG_HDRLEN + bytes.Index(m.Data, []byte(at))
				}
				return m.refusal(&netlink.OpError{Op: "receive", Err: errno, Offset: offset}).Error()
			}
		}
		t.Fatalf("no message for %q", object)
		return ""
	}
	for _, tt := range []struct{ got, want string }{
		{refused("table", "", unix.EPERM), "add table inet vnet: operation not permitted"},
		{refused("table", "", unix.EAFNOSUPPORT),
			"add table inet vnet: the kernel lacks CONFIG_NF_TABLES_INET (address family not supported by protocol)"},
		{refused("chain inet vnet prerouting", "", unix.ENOENT),
			"add chain inet vnet prerouting: the kernel lacks CONFIG_NFT_NAT (no such file or directory)"},
		{refused("fib saddr", "fib\x00", unix.ENOENT),
			`add rule inet vnet hairpin oifname != "lo" fib saddr type local masquerade: ` +
				`the kernel lacks CONFIG_NFT_FIB_INET (no such file or directory)`},
		{refused("fib saddr", "masq\x00", unix.ENOENT),
			`add rule inet vnet hairpin oifname != "lo" fib saddr type local masquerade: ` +
				`the kernel lacks CONFIG_NFT_MASQ (no such file or directory)`},
		{refused("ct status", "ct\x00", unix.ENOENT),
			"add rule inet vnet postrouting ct status dnat ip daddr @targets4 jump hairpin: " +
				"the kernel lacks CONFIG_NFT_CT (no such file or directory)"},
		{refused("elements of map", "\x06\x00\x00\x00\x00\x51", unix.EEXIST),
			"add element inet vnet dnat4 { tcp . 81 : 10.0.0.2 . 81 }: file exists"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s\nwant %s", tt.got, tt.want)
		}
	}
}

// TestSocketErrors checks the messages for errors of the socket itself.
func TestSocketErrors(t *testing.T) {
	c := &Conn{}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&netlink.OpError{Op: "receive", Err: unix.EPERM}, "change ruleset: operation not permitted"},
		{&netlink.OpError{Op: "receive", Err: unix.EINVAL},
			"change ruleset: the kernel lacks CONFIG_NF_TABLES (invalid argument)"},
		{&netlink.OpError{Op: "receive", Err: unix.EBUSY, Message: "Busy."},
			"change ruleset: Busy (device or resource busy)"},
		{errors.New("closed"), "change ruleset: closed"},
	} {
		if got := c.refusal("change", "ruleset", tt.err).Error(); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

func FuzzDecodeElements(f *testing.F) {
	sets := fixedSets()
	for _, r := range someRules() {
		if s := setNamed(r.elements()[0].set); !s.flowtable {
			sets = append(sets, s)
		}
	}
	for _, r := range someRules() {
		for i, s := range sets {
			for _, e := range r.elements()[:1] {
				if e.set == s.name {
					f.Add(i, elementsBody(encodeElement(e, s)))
				}
			}
		}
	}
	for i, s := range sets {
		for e := range (Guard{IPv4: true, IPv6: true, Sources: []netip.Prefix{netip.MustParsePrefix("fd00::/8"),
			netip.MustParsePrefix("128.0.0.0/1")}, Out: []string{"eth0"}}).elements() {
			if e.set == s.name {
				f.Add(i, elementsBody(encodeElement(e, s)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, i int, body []byte) {
		_, _ = decodeString(body, unix.NFTA_TABLE_NAME)
		s := sets[uint(i)%uint(len(sets))]
		raw, err := decodeElements(body, s)
		if err != nil {
			return
		}
		have := content{elements: make(map[element]count)}
		for _, e := range joinIntervals(raw, s) {
			_ = e.text(s)
			have.elements[e.element] = e.count
		}
		if err := have.guard().Check(); err != nil {
			t.Error(err)
		}
		for _, r := range have.rules() {
			_ = r.String()
			if err := r.Check(); (err != nil) != isForeign(r.Rule) {
				t.Errorf("%s: %v", r, err)
			}
		}
	})
}

func FuzzDecodeFlow(f *testing.F) {
	address := nested(ctaTupleIP, append(attrBytes(ctaIPv4Src, []byte{10, 0, 0, 1}),
		attrBytes(ctaIPv4Dst, []byte{10, 0, 0, 2})...))
	ports := nested(ctaTupleProto, slices.Concat(attrBytes(ctaProtoNum, []byte{6}),
		attrBytes(ctaProtoSrcPort, []byte{0, 1}), attrBytes(ctaProtoDstPort, []byte{0, 80})))
	f.Add(slices.Concat([]byte{unix.AF_INET, 0, 0, 0}, nested(ctaTupleOrig, append(address, ports...)),
		attr32(ctaStatus, 4), attr32(ctaID, 7)))
	matcher := newStaleMatcher(someRules(), someRules())
	f.Fuzz(func(t *testing.T, body []byte) {
		flow, err := decodeFlow(body)
		if err == nil {
			matcher.matches(flow)
		}
		_, _ = decodeFlowCount(body)
	})
}

// TestRangeIsOneElement checks that a range that keeps its ports is one element. A range with other target ports has
// one element per port, and decodes to the same range.
func TestRangeIsOneElement(t *testing.T) {
	to := netip.MustParseAddr("192.168.15.2")
	for _, tt := range []struct {
		rule Forward
		want int
	}{
		{Forward{Proto: UDP, Ports: Ports{20000, 29999}, To: to, ToPort: 20000}, 1},
		{Forward{Proto: TCP, Ports: Ports{1, 65535}, To: to, ToPort: 1}, 1},
		{Forward{Proto: TCP, Ports: Port(80), To: to, ToPort: 8080}, 1},
		{Forward{Proto: TCP, Ports: Ports{8000, 8009}, To: to, ToPort: 9000}, 10},
	} {
		all := tt.rule.elements()
		if len(all) != tt.want {
			t.Errorf("%s is %d elements, want %d", tt.rule, len(all), tt.want)
		}
		for _, e := range all {
			if back, err := decodeForward(e, setNamed(e.set)); err != nil || back != Rule(tt.rule) {
				t.Errorf("an element of %s decodes as %v, %v", tt.rule, back, err)
			}
		}
	}
}
