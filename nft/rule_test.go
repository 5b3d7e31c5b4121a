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

// TestString: rules print as nft would print them in a chain.
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
		{nft.Masquerade{Source: netip.MustParsePrefix("::/0"), Out: "eth0"}, `meta nfproto ipv6 oifname "eth0" masquerade`},
		{nft.SourceNAT{Source: source, To: netip.MustParseAddr("198.51.100.7")}, `ip saddr 192.168.15.0/24 snat ip to 198.51.100.7`},
		{web, `tcp dport 80 dnat ip to 192.168.15.2:8080`},
		{nft.Forward{Proto: nft.UDP, Addr: netip.MustParseAddr("192.0.2.1"), In: "eth0", Ports: nft.Port(53), To: red, ToPort: 53},
			`iifname "eth0" ip daddr 192.0.2.1 udp dport 53 dnat ip to 192.168.15.2:53`},
		{nft.Forward{Proto: nft.SCTP, Ports: nft.Port(80), To: red6, ToPort: 80}, `sctp dport 80 dnat ip6 to [fd00:15::2]:80`},
		{nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 8000, Last: 8100}, To: red, ToPort: 8000}, `tcp dport 8000-8100 dnat ip to 192.168.15.2`},
		{nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 8000, Last: 8100}, To: red, ToPort: 9000}, `tcp dport 8000-8100 dnat ip to 192.168.15.2:9000-9100`},
		{nft.Isolate{In: "v-net-0", Out: "v-net-1"}, `iifname "v-net-0" oifname "v-net-1" drop`},
		{nft.Fastpath{Device: "v-net-0"}, `iifname "v-net-0" flow add @fastpath`},
		{nft.Fastpath{Device: "red-eth0", Port: true}, `flowtable fastpath { devices = { "red-eth0" } }`},
	} {
		if got := tt.rule.String(); got != tt.want {
			t.Errorf("%#v\nprints %s\nwant   %s", tt.rule, got, tt.want)
		}
		if err := tt.rule.Check(); err != nil {
			t.Errorf("%s: %v", tt.want, err)
		}
	}
}

// TestCheck: what the kernel would misunderstand is refused, and the reason said.
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
		{nft.Masquerade{}, "neither a source nor a device is given"},
		{nft.Masquerade{Source: netip.MustParsePrefix("192.168.15.7/24")}, "192.168.15.7/24 has bits beyond its length; 192.168.15.0/24 is meant"},
		{nft.Masquerade{Out: "sixteen-bytes-is"}, `device name "sixteen-bytes-is" has 16 bytes, of at most 15`},
		{nft.Masquerade{Out: "a b"}, `"a b" is no name of a device`},
		{nft.Masquerade{Out: `a"b`}, `"a\"b" is no name of a device`},
		{nft.Masquerade{Out: "eth*"}, `"eth*" is no name of a device`},
		{nft.Masquerade{Out: "../x"}, `"../x" is no name of a device`},
		{nft.Masquerade{Out: "a\x00b"}, `"a\x00b" is no name of a device`},
		{nft.Masquerade{Out: "lo"}, "nothing leaves by lo"},
		{forward(func(f *nft.Forward) { f.To = addrs("fe80::1") }), "cannot translate to fe80::1: it is known on its own link only"},
		{nft.SourceNAT{Source: source}, "no address to translate to"},
		{nft.SourceNAT{To: red}, "no source is given"},
		{nft.SourceNAT{Source: source, To: addrs("fd00::1")}, "source and target differ in family"},
		{nft.SourceNAT{Source: netip.MustParsePrefix("0.0.0.0/0"), To: red}, "a source of every address needs a device"},
		{nft.Isolate{In: "v-net-0"}, "both devices have to be given"},
		{nft.Fastpath{}, "no device is given"},
		{nft.Fastpath{Device: "lo"}, "nothing is forwarded by lo"},
		{nft.Fastpath{Device: "a b"}, `"a b" is no name of a device`},
		{forward(func(f *nft.Forward) { f.Proto = 1 }), "protocol 1 has no ports to forward"},
		{forward(func(f *nft.Forward) { f.Ports = nft.Ports{} }), "0-0 is no range of ports"},
		{forward(func(f *nft.Forward) { f.Ports = nft.Ports{First: 9, Last: 8} }), "9-8 is no range of ports"},
		{forward(func(f *nft.Forward) { f.ToPort = 0 }), "no port to lead to"},
		{forward(func(f *nft.Forward) { f.Ports, f.ToPort = nft.Ports{First: 1, Last: 10}, 65530 }), "10 ports from 65530 on go beyond 65535"},
		{forward(func(f *nft.Forward) { f.To = netip.Addr{} }), "no address to translate to"},
		{forward(func(f *nft.Forward) { f.To = addrs("0.0.0.0") }), "cannot translate to 0.0.0.0: it is no host's address"},
		{forward(func(f *nft.Forward) { f.To = addrs("224.0.0.1") }), "cannot translate to 224.0.0.1: it is no host's address"},
		{forward(func(f *nft.Forward) { f.To = addrs("::ffff:10.0.0.1") }), "cannot translate to ::ffff:10.0.0.1: write it plainly"},
		{forward(func(f *nft.Forward) { f.To = addrs("fe80::1%eth0") }), "cannot translate to fe80::1%eth0: write it plainly"},
		{forward(func(f *nft.Forward) { f.Addr = addrs("fd00::1") }), "cannot forward fd00::1 to 192.168.15.2: families differ"},
		{forward(func(f *nft.Forward) { f.Addr, f.To = addrs("::1"), addrs("fd00::1") }), "the kernel cannot forward what is sent to ::1"},
		{forward(func(f *nft.Forward) { f.Addr = addrs("0.0.0.0") }), "0.0.0.0 is no address to forward from"},
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
		t.Error("icmp has ports")
	}
}

// TestText is the table of the README's two lines.
func TestText(t *testing.T) {
	got := nft.Text("vnet",
		nft.Masquerade{Source: netip.MustParsePrefix("192.168.15.0/24")},
		nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: netip.MustParseAddr("192.168.15.2"), ToPort: 8080})
	want := `table inet vnet {
	set same_link {
		type ifname . ifname
		size 65535
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

	set masquerade4 {
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
		ip daddr 224.0.0.0/24 return
		ip daddr 255.255.255.255 return
		ct status dnat ip daddr @targets4 jump hairpin
		ip saddr @inside4 ip daddr @inside4 return
		ip saddr @masquerade4 masquerade
	}
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := nft.Text("vnet"); got != "" {
		t.Errorf("no rules print %q", got)
	}
}

// TestScriptIsSmall: where the sets stay, only elements come and go.
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
		t.Errorf("the last rule leaves: %s", got)
	}
}

// TestErrorMeans: an error answers for what it means.
func TestErrorMeans(t *testing.T) {
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
	e := &nft.Error{Op: "add", Object: "rule inet vnet postrouting masquerade", Missing: "CONFIG_NFT_MASQ", Err: syscall.ENOENT}
	if got, want := e.Error(), "add rule inet vnet postrouting masquerade: the kernel lacks CONFIG_NFT_MASQ (no such file or directory)"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
