//go:build linux

package ruleset_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestReadTables checks that rules made by nft(8) are read, and that chains with unsupported rules are listed.
func TestReadTables(t *testing.T) {
	needNFT(t)
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	shell(t, ns, `nft -f - <<'.'
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat
		tcp dport 8080 counter dnat to 192.168.15.2:80
		fib daddr type local udp dport 53 dnat to 192.168.15.3
		ip daddr 203.0.113.1 iifname "eth0" tcp dport 9000-9010 dnat to 192.168.15.2
		tcp dport 7 dnat to 10.0.0.1-10.0.0.9
	}
	chain ends {
		type nat hook prerouting priority dstnat + 1
		tcp dport >= 7000 tcp dport <= 7010 dnat to 192.168.15.4
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr 192.168.15.0/24 oifname "eth0" masquerade
		ip saddr 10.20.0.0/20 masquerade
		ip saddr 10.99.0.0/16 snat to 203.0.113.7
		oifname "ppp0" masquerade
	}
}
table inet both {
	chain ports { meta nfproto ipv6 tcp dport 443 dnat ip6 to [fd00:15::2]:8443; }
	chain pre { type nat hook prerouting priority dstnat; jump ports; }
	chain post { type nat hook postrouting priority srcnat; ip6 saddr fd00:15::/64 masquerade; }
	chain filter { type filter hook forward priority 0; ip saddr 10.0.0.1 tcp dport 80 accept; }
}
table ip wild {
	chain post {
		type nat hook postrouting priority srcnat
		oifname "ppp*" masquerade
		ip saddr 10.98.0.1 rt nexthop 10.97.0.1 masquerade
	}
}
table ip odd {
	chain above { type nat hook prerouting priority 1; tcp dport >= 7000 dnat to 192.168.15.2; }
	chain below { type nat hook prerouting priority 1; tcp dport <= 7000 dnat to 192.168.15.2; }
	chain source { type nat hook prerouting priority 2; ip saddr 10.0.0.0/8 tcp dport 80 dnat to 192.168.15.2; }
	chain to_ports { type nat hook prerouting priority 3; tcp dport 80 dnat to 192.168.15.2:80-89; }
	chain dropped { type nat hook prerouting priority 4; tcp dport 80 drop; }
	chain two { type nat hook prerouting priority 5; tcp dport { 80, 81 } dnat to 192.168.15.2; }
	chain other_port { type nat hook prerouting priority 6; tcp dport != 80 dnat to 192.168.15.2; }
	chain saddr_type { type nat hook prerouting priority 7; fib saddr type local tcp dport 80 dnat to 192.168.15.2; }
	chain broadcast { type nat hook prerouting priority 8; fib daddr type broadcast udp dport 80 dnat to 192.168.15.2; }
	chain from_port { type nat hook postrouting priority 101; meta l4proto tcp snat to 203.0.113.7:1000-1999; }
	chain target { type nat hook postrouting priority 102; ip daddr 10.0.0.1 masquerade; }
	chain port { type nat hook postrouting priority 103; ip saddr 10.0.0.1 tcp sport 80 masquerade; }
	chain between { type nat hook postrouting priority 104; ip saddr 10.0.0.1-10.0.0.9 masquerade; }
	chain pool { type nat hook postrouting priority 105; ip saddr 10.0.0.1 snat to 203.0.113.7-203.0.113.9; }
}
table inet vnet_mine { chain c { type filter hook forward priority 0; drop; }; }
.
`)
	rules, others, err := ruleset.ReadTables(ns,
		func(table string) bool { return strings.HasPrefix(table, "vnet_") })
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, r := range rules {
		fmt.Fprintln(&got, r)
	}
	for _, c := range others {
		fmt.Fprintln(&got, "and", c)
	}
	want := `tcp dport 8080 dnat ip to 192.168.15.2:80
udp dport 53 dnat ip to 192.168.15.3:53
iifname "eth0" ip daddr 203.0.113.1 tcp dport 9000-9010 dnat ip to 192.168.15.2
tcp dport 7000-7010 dnat ip to 192.168.15.4
ip saddr 192.168.15.0/24 oifname "eth0" masquerade
ip saddr 10.20.0.0/20 masquerade
ip saddr 10.99.0.0/16 snat ip to 203.0.113.7
oifname "ppp0" masquerade
tcp dport 443 dnat ip6 to [fd00:15::2]:8443
ip6 saddr fd00:15::/64 masquerade
and chain ip nat prerouting
and chain inet both pre
and chain inet both filter
and chain ip wild post
and chain ip odd above
and chain ip odd below
and chain ip odd source
and chain ip odd to_ports
and chain ip odd dropped
and chain ip odd two
and chain ip odd other_port
and chain ip odd saddr_type
and chain ip odd broadcast
and chain ip odd from_port
and chain ip odd target
and chain ip odd port
and chain ip odd between
and chain ip odd pool
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
