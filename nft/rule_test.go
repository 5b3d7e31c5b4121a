package nft_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft"
)

// TestString checks that rules print as nft prints them in a chain.
func TestString(t *testing.T) {
	red, red6 := netip.MustParseAddr("192.168.15.2"), netip.MustParseAddr("fd00:15::2")
	source := netip.MustParsePrefix("192.168.15.0/24")
	web := nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 8080}
	for _, tt := range []struct {
		rule nft.Rule
		want string
	}{
		{nft.Masquerade{Source: source}, `ip saddr 192.168.15.0/24 masquerade`},
		{nft.Masquerade{Source: source, Out: "eth0"}, `ip saddr 192.168.15.0/24 oifname "eth0" masquerade`},
		{nft.Masquerade{Source: netip.MustParsePrefix("fd00:15::/64")}, `ip6 saddr fd00:15::/64 masquerade`},
		{nft.Masquerade{Out: "eth0"}, `oifname "eth0" masquerade`},
		{nft.Masquerade{Source: netip.MustParsePrefix("0.0.0.0/0")}, `ip saddr 0.0.0.0/0 masquerade`},
		{nft.Masquerade{Source: netip.MustParsePrefix("::/0"), Out: "eth0"},
			`meta nfproto ipv6 oifname "eth0" masquerade`},
		{nft.SourceNAT{Source: source, To: netip.MustParseAddr("198.51.100.7")},
			`ip saddr 192.168.15.0/24 snat ip to 198.51.100.7`},
		{web, `tcp dport 80 dnat ip to 192.168.15.2:8080`},
		{nft.Forward{Proto: nft.UDP, Addr: netip.MustParseAddr("192.0.2.1"), In: "eth0", Ports: nft.Port(53), To: red,
			ToPort: 53},
			`iifname "eth0" ip daddr 192.0.2.1 udp dport 53 dnat ip to 192.168.15.2:53`},
		{nft.Forward{Proto: nft.SCTP, Ports: nft.Port(80), To: red6, ToPort: 80},
			`sctp dport 80 dnat ip6 to [fd00:15::2]:80`},
		{nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 8000, Last: 8100}, To: red, ToPort: 8000},
			`tcp dport 8000-8100 dnat ip to 192.168.15.2`},
		{nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 8000, Last: 8100}, To: red, ToPort: 9000},
			`tcp dport 8000-8100 dnat ip to 192.168.15.2:9000-9100`},
		{nft.Isolate{In: "v-net-0", Out: "v-net-1"}, `iifname "v-net-0" oifname "v-net-1" drop`},
		{nft.Fastpath{Device: "v-net-0"}, `iifname "v-net-0" flow add @fastpath`},
		{nft.Fastpath{Device: "red-eth0", Port: true}, `flowtable fastpath { devices = { "red-eth0" } }`},
	} {
		if got := tt.rule.String(); got != tt.want {
			t.Errorf("%#v\ngot  %s\nwant %s", tt.rule, got, tt.want)
		}
		if err := tt.rule.Check(); err != nil {
			t.Errorf("%s: %v", tt.want, err)
		}
	}
}

// TestCheck checks the errors for invalid rules.
func TestCheck(t *testing.T) {
	red := netip.MustParseAddr("192.168.15.2")
	source := netip.MustParsePrefix("192.168.15.0/24")
	forward := func(change func(*nft.Forward)) nft.Rule {
		f := nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 80}
		change(&f)
		return f
	}
	addrs := netip.MustParseAddr
	for _, tt := range []struct {
		rule nft.Rule
		want string
	}{
		{nft.Masquerade{}, "expected a source or a device"},
		{nft.Masquerade{Source: netip.MustParsePrefix("192.168.15.7/24")},
			"192.168.15.7/24 has host bits set; use 192.168.15.0/24"},
		{nft.Masquerade{Source: netip.MustParsePrefix("::ffff:10.0.0.0/120")},
			"::ffff:10.0.0.0/120 is IPv4-mapped; use the IPv4 prefix"},
		{nft.Masquerade{Out: "sixteen-bytes-is"}, `device name "sixteen-bytes-is" has 16 bytes, maximum is 15`},
		{nft.Masquerade{Out: "a b"}, `"a b" is not a valid device name`},
		{nft.Masquerade{Out: `a"b`}, `"a\"b" is not a valid device name`},
		{nft.Masquerade{Out: "eth*"}, `"eth*" is not a valid device name`},
		{nft.Masquerade{Out: "../x"}, `"../x" is not a valid device name`},
		{nft.Masquerade{Out: "a\x00b"}, `"a\x00b" is not a valid device name`},
		{nft.Masquerade{Out: "a\x7fb"}, `"a\x7fb" is not a valid device name`},
		{nft.Masquerade{Out: "lo"}, "cannot masquerade on lo"},
		{forward(func(f *nft.Forward) { f.To = addrs("fe80::1") }),
			"cannot translate to fe80::1: link-local addresses are valid on their own link only"},
		{nft.SourceNAT{Source: source}, "expected a target address"},
		{nft.SourceNAT{To: red}, "expected a source"},
		{nft.SourceNAT{Source: source, To: addrs("fd00::1")}, "source and target have different address families"},
		{nft.SourceNAT{Source: netip.MustParsePrefix("0.0.0.0/0"), To: red},
			"a source with prefix length 0 needs a device"},
		{nft.Isolate{In: "v-net-0"}, "expected two devices"},
		{nft.Fastpath{}, "expected a device"},
		{nft.Fastpath{Device: "lo"}, "the kernel forwards no packets by lo"},
		{nft.Fastpath{Device: "a b"}, `"a b" is not a valid device name`},
		{forward(func(f *nft.Forward) { f.Proto = 1 }), "protocol 1: expected tcp, udp or sctp"},
		{forward(func(f *nft.Forward) { f.Ports = nft.Ports{} }), "0-0 is not a valid port range"},
		{forward(func(f *nft.Forward) { f.Ports = nft.Ports{First: 9, Last: 8} }), "9-8 is not a valid port range"},
		{forward(func(f *nft.Forward) { f.ToPort = 0 }), "expected a target port"},
		{forward(func(f *nft.Forward) { f.Ports, f.ToPort = nft.Ports{First: 1, Last: 10}, 65530 }),
			"10 target ports from 65530 exceed 65535"},
		{forward(func(f *nft.Forward) { f.To = netip.Addr{} }), "expected a target address"},
		{forward(func(f *nft.Forward) { f.To = addrs("0.0.0.0") }),
			"cannot translate to 0.0.0.0: not a unicast address"},
		{forward(func(f *nft.Forward) { f.To = addrs("224.0.0.1") }),
			"cannot translate to 224.0.0.1: not a unicast address"},
		{forward(func(f *nft.Forward) { f.To = addrs("::ffff:10.0.0.1") }),
			"cannot translate to ::ffff:10.0.0.1: expected an address that has no zone and is not IPv4-mapped"},
		{forward(func(f *nft.Forward) { f.To = addrs("fe80::1%eth0") }),
			"cannot translate to fe80::1%eth0: expected an address that has no zone and is not IPv4-mapped"},
		{forward(func(f *nft.Forward) { f.Addr = addrs("fd00::1") }),
			"cannot forward fd00::1 to 192.168.15.2: different address families"},
		{forward(func(f *nft.Forward) { f.Addr, f.To = addrs("::1"), addrs("fd00::1") }),
			"the kernel cannot forward connections to ::1"},
		{forward(func(f *nft.Forward) { f.Addr, f.To = addrs("fe80::1"), addrs("fd00::1") }),
			"the kernel does not forward packets from link-local addresses"},
		{forward(func(f *nft.Forward) { f.Addr = addrs("0.0.0.0") }), "cannot forward connections to 0.0.0.0"},
	} {
		err := tt.rule.Check()
		var e *nft.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%#v: %v\nwant %s", tt.rule, err, tt.want)
		}
	}
}

func TestParseProto(t *testing.T) {
	for name, want := range map[string]nft.Proto{"tcp": nft.TCP, "udp": nft.UDP, "sctp": nft.SCTP} {
		if got, err := nft.ParseProto(name); got != want || err != nil {
			t.Errorf("ParseProto(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := nft.ParseProto("icmp"); err == nil {
		t.Error("icmp was accepted")
	}
}

// TestText checks the table for the example in the README.
func TestText(t *testing.T) {
	got := nft.Text("vnet",
		nft.Masquerade{Source: netip.MustParsePrefix("192.168.15.0/24")},
		nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: netip.MustParseAddr("192.168.15.2"), ToPort: 8080})
	want := `table inet vnet {
	set same_link {
		type ifname . ifname
		size 16383
		flags dynamic
	}

	set targets4 {
		type ipv4_addr
		elements = { 192.168.15.2 }
	}

	map dnat4 {
		type inet_proto . inet_service : ipv4_addr . inet_service
		counter
		elements = { tcp . 80 counter : 192.168.15.2 . 8080 }
	}

	set inside4 {
		type ipv4_addr
		flags interval
		elements = { 192.168.15.0/24 }
	}

	set masquerade4_24 {
		type ipv4_addr
		flags interval
		counter
		elements = { 192.168.15.0/24 counter }
	}

	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
	}

	chain hairpin {
		oifname != "lo" fib saddr type local masquerade
		iifname . oifname @same_link masquerade
		iif 0 oifname != "lo" masquerade
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		add @same_link { iifname . iifname }
		meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @dnat4
	}

	chain output {
		type nat hook output priority -100; policy accept;
		meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @dnat4
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ct status dnat ip daddr @targets4 jump hairpin
		iif 0 @ll,0,48 != 0x0 return
		ip daddr 224.0.0.0/24 return
		ip daddr 255.255.255.255 return
		ip saddr @inside4 ip daddr @inside4 return
		ip saddr @masquerade4_24 masquerade
	}

	chain private {
		ct direction reply return
		fib saddr . oif type local return
		iif 0 @ll,0,48 != 0x0 return
		ip daddr 224.0.0.0/24 return
		ip daddr 255.255.255.255 return
		ip6 daddr ff02::/16 return
		drop
	}

	chain leak {
		type filter hook postrouting priority srcnat + 1; policy accept;
		ct status snat return
		ip saddr @inside4 ip daddr != @inside4 jump private
	}
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := nft.Text("vnet"); got != "" {
		t.Errorf("without rules: %q", got)
	}
}

// TestScriptIsSmall checks that a script only adds and deletes elements if the table needs the same sets.
func TestScriptIsSmall(t *testing.T) {
	red := netip.MustParseAddr("192.168.15.2")
	forward := func(port uint16) nft.Rule {
		return nft.Forward{Proto: nft.TCP, Ports: nft.Port(port), To: red, ToPort: 80}
	}
	got := nft.Script("vnet_lab", []nft.Rule{forward(1), forward(2)}, []nft.Rule{forward(2), forward(3)})
	want := `delete element inet vnet_lab dnat4 { tcp . 1 : 192.168.15.2 . 80 }
add element inet vnet_lab dnat4 { tcp . 3 : 192.168.15.2 . 80 }
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := nft.Script("vnet_lab", []nft.Rule{forward(1)}, nil); got != "delete table inet vnet_lab\n" {
		t.Errorf("after deleting the last rule: %s", got)
	}
}

// TestErrorIs checks errors.Is for an Error.
func TestErrorIs(t *testing.T) {
	for _, tt := range []struct {
		err  *nft.Error
		is   error
		want bool
	}{
		{&nft.Error{Err: syscall.ENOENT}, fs.ErrNotExist, true},
		{&nft.Error{Err: syscall.ENOENT, Missing: "CONFIG_NFT_MASQ"}, fs.ErrNotExist, false},
		{&nft.Error{Err: syscall.ENOENT, Missing: "CONFIG_NFT_MASQ"}, errors.ErrUnsupported, true},
		{&nft.Error{Err: syscall.ENOENT, Missing: "CONFIG_NFT_MASQ"}, syscall.ENOENT, true},
		{&nft.Error{Err: syscall.EEXIST}, fs.ErrExist, true},
		{&nft.Error{Err: syscall.ENOTEMPTY}, fs.ErrExist, true},
		{&nft.Error{Err: syscall.EPERM}, fs.ErrPermission, true},
		{&nft.Error{Err: syscall.EPERM}, fs.ErrExist, false},
	} {
		if got := errors.Is(tt.err, tt.is); got != tt.want {
			t.Errorf("errors.Is(%v, %v) = %v", tt.err, tt.is, got)
		}
	}
	e := &nft.Error{Op: "add", Object: "rule inet vnet postrouting masquerade", Missing: "CONFIG_NFT_MASQ",
		Err: syscall.ENOENT}
	want := "add rule inet vnet postrouting masquerade: the kernel lacks CONFIG_NFT_MASQ (no such file or directory)"
	if got := e.Error(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
