package show

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// natRules has one rule of each kind. The isolation rule is not NAT; another program added it to the table.
func natRules() []nft.CountedRule {
	source := netip.MustParsePrefix("192.168.15.0/24")
	red, red6 := netip.MustParseAddr("192.168.15.2"), netip.MustParseAddr("fd00::2")
	return []nft.CountedRule{
		{Rule: nft.Masquerade{Source: source}, Packets: 2, Bytes: 120},
		{Rule: nft.Masquerade{Out: "ppp0"}},
		{Rule: nft.SourceNAT{Source: source, Out: "eth0", To: netip.MustParseAddr("198.51.100.7")}},
		{Rule: nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 80}, Packets: 1, Bytes: 60},
		{Rule: nft.Forward{Proto: nft.UDP, Addr: netip.MustParseAddr("10.0.0.1"), In: "eth0",
			Ports: nft.Ports{First: 80, Last: 89}, To: red, ToPort: 8080}},
		{Rule: nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red6, ToPort: 8080}},
		{Rule: nft.Isolate{In: "a", Out: "b"}},
	}
}

func TestNAT(t *testing.T) {
	for _, tt := range []struct {
		what  string
		style Style
		want  string
	}{
		{"text", Style{},
			`masquerade -s 192.168.15.0/24                                                          packets 2 bytes 120
masquerade -o ppp0                                                                     packets 0 bytes 0
snat -s 192.168.15.0/24 -o eth0 --to-source 198.51.100.7                               packets 0 bytes 0
dnat -p tcp --dport 80 --to-destination 192.168.15.2                                   packets 1 bytes 60
dnat -p udp -d 10.0.0.1 -i eth0 --dport 80-89 --to-destination 192.168.15.2:8080-8089  packets 0 bytes 0
dnat -p tcp --dport 80 --to-destination [fd00::2]:8080                                 packets 0 bytes 0
iifname "a" oifname "b" drop                                                           packets 0 bytes 0
`},
		{"IPv6", Style{Family: unix.AF_INET6}, `masquerade -o ppp0                                      packets 0 bytes 0
dnat -p tcp --dport 80 --to-destination [fd00::2]:8080  packets 0 bytes 0
iifname "a" oifname "b" drop                            packets 0 bytes 0
`},
		{"JSON", Style{JSON: true, Family: unix.AF_INET},
			`[{"kind":"masquerade","source":"192.168.15.0/24","packets":2,"bytes":120},` +
				`{"kind":"masquerade","out":"ppp0","packets":0,"bytes":0},` +
				`{"kind":"snat","source":"192.168.15.0/24","out":"eth0","to_source":"198.51.100.7","packets":0,"bytes":0},` +
				`{"kind":"dnat","protocol":"tcp","dport":80,"to_destination":"192.168.15.2","to_port":80,"packets":1,"bytes":60},` +
				`{"kind":"dnat","protocol":"udp","destination":"10.0.0.1","in":"eth0","dport":80,"dport_last":89,` +
				`"to_destination":"192.168.15.2","to_port":8080,"packets":0,"bytes":0},` +
				`{"kind":"other","rule":"iifname \"a\" oifname \"b\" drop","packets":0,"bytes":0}]
`},
	} {
		var out bytes.Buffer
		if err := NAT(&out, natRules(), tt.style); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.what, diff)
		}
	}
	var out bytes.Buffer
	if err := NAT(&out, nil, Style{JSON: true}); err != nil || out.String() != "[]\n" {
		t.Errorf("nothing is %q, %v", out.String(), err)
	}
}
