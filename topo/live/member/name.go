//go:build linux

package member

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
)

// Names in the kernel. All but the first three are alternative names; a namespace has each of them only once.
//
//	vn0123456789abc             the member's link; from a hash of network, container and link
//	vnet_NET                    with _ before NET: the nftables table. No lab's name begins with _.
//	vnet:_NET ID LINK           the alias of the member's link. While Attach works, a word follows.
//	4:NET:10.77.0.5             on the member's link: the address is the member's; 6:NET:… for IPv6
//	p4:tcp:*:8080               on the member's link: the port of the machine is the member's; with an address
//	                            instead of * only this address's; p6:… for IPv6
//	vnet:_NET                   on the bridge, which is found by it
//	vnet:_NET:network=gdm       on the bridge: what the network has; the last thing that is made
//	vnet:_NET:subnet=10.0.0.0%2F24@10.0.0.1   on the bridge

// owner is the name under which the settings, the table and the marks of a network are kept, as those of a lab are
// under the lab's name.
func owner(network string) string { return "_" + network }

// tableOf is the name of a network's nftables table.
func tableOf(network string) string { return mark.Table(owner(network)) }

func hash(words ...string) uint64 {
	h := fnv.New64a()
	for _, w := range words {
		h.Write([]byte(w + "\x00"))
	}
	return h.Sum64()
}

// hostName is the name of a member's link on the machine's side.
func hostName(network string, id ID) string {
	return fmt.Sprintf("vn%013x", hash(network, id.Container, id.Link)>>12)
}

// isHostName reports whether a link may have its name from hostName.
func isHostName(name string) bool {
	digits, ok := strings.CutPrefix(name, "vn")
	return ok && len(digits) == 13 && strings.Trim(digits, "0123456789abcdef") == ""
}

// making follows the alias of a link until its member is whole. A link can also have this name.
const making = " making"

// aliasOf is the alias of a member's link.
func aliasOf(network string, id ID) string {
	return mark.Of(owner(network)) + " " + id.Container + " " + id.Link
}

// parseAlias is the inverse of aliasOf. whole is false while Attach works, or after it was killed.
func parseAlias(alias string) (network string, id ID, whole, ok bool) {
	words := strings.Split(alias, " ")
	whole = len(words) == 3
	if !whole && (len(words) != 4 || " "+words[3] != making) {
		return "", ID{}, false, false
	}
	network, ok = strings.CutPrefix(words[0], mark.Of(owner("")))
	return network, ID{words[1], words[2]}, whole, ok
}

// digit is 4 or 6.
func digit(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// claimOf is the alternative name that makes an address the link's.
func claimOf(network string, a netip.Addr) string { return digit(a) + ":" + network + ":" + a.String() }

// claimedBy returns the addresses that a link with these alternative names has.
func claimedBy(names []string, network string) (addrs []netip.Addr) {
	for _, n := range names {
		for _, family := range []string{"4", "6"} {
			if text, ok := strings.CutPrefix(n, family+":"+network+":"); ok {
				if a, err := netip.ParseAddr(text); err == nil {
					addrs = append(addrs, a)
				}
			}
		}
	}
	return addrs
}

// portClaim is the alternative name that makes a port of the machine the link's.
func portClaim(f nft.Forward) string {
	host := "*"
	if f.Addr.IsValid() {
		host = f.Addr.String()
	}
	return fmt.Sprintf("p%s:%s:%s:%d", digit(f.To), f.Proto, host, f.Ports.First)
}

// parsePortClaim is the inverse of portClaim; the target is one of the addresses, its port is 0.
func parsePortClaim(name string, to []netip.Addr) (f nft.Forward, ok bool) {
	family, rest, _ := strings.Cut(name, ":")
	proto, rest, _ := strings.Cut(rest, ":")
	at := strings.LastIndexByte(rest, ':')
	if at < 0 || family != "p4" && family != "p6" {
		return f, false
	}
	port, err := strconv.ParseUint(rest[at+1:], 10, 16)
	if err != nil {
		return f, false
	}
	f.Ports = nft.Port(uint16(port))
	if f.Proto, err = nft.ParseProto(proto); err != nil {
		return f, false
	}
	if host := rest[:at]; host != "*" {
		if f.Addr, err = netip.ParseAddr(host); err != nil {
			return f, false
		}
	}
	for _, a := range to {
		if "p"+digit(a) == family {
			f.To = a
			return f, true
		}
	}
	return f, false
}

// macOf is the MAC address of the member that has an IP address: the next owner of the IP address has the same MAC
// address. Otherwise neighbours that know the former one would not reach it for half a minute.
func macOf(network string, a netip.Addr) (mac [6]byte) {
	mac[0], mac[1] = 0x02, 0x76
	if a.Is4() {
		four := a.As4()
		copy(mac[2:], four[:])
		return mac
	}
	sum := uint32(hash(network, a.String()))
	for i := range 4 {
		mac[2+i] = byte(sum >> (8 * i))
	}
	return mac
}
