//go:build linux

package nft_test

import (
	"fmt"
	"net/netip"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// Masquerade a network and forward a port into it, in one transaction. Existing rules stay: applying the same rules
// again changes nothing.
func ExampleConn_Apply() {
	ns, err := nsfs.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ns.Close()
	c, err := nft.Dial(ns)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	web := nft.Forward{Proto: nft.TCP, Ports: nft.Port(8080), To: netip.MustParseAddr("192.168.15.2"), ToPort: 80}
	private := nft.Masquerade{Source: netip.MustParsePrefix("192.168.15.0/24")}
	for range 2 {
		fmt.Println(c.Apply("vnet", nil, []nft.Rule{private, web}))
	}
	rules, err := c.Read("vnet")
	for _, r := range rules {
		fmt.Println(r.Rule, "packets", r.Packets)
	}
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// ip saddr 192.168.15.0/24 masquerade packets 0
	// tcp dport 8080 dnat ip to 192.168.15.2:80 packets 0
	// <nil>
}
