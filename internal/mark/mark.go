// Package mark has the marks, which identify the objects that vnet created, and the records, in
// which vnet saves the former state of what it changed. Both are text in the kernel or in a file.
// Package live and the scripts of plans write the same marks and records.
package mark

import (
	"slices"
	"strconv"
	"strings"
)

// LinkGroup is the group of the links of labs in namespaces that are not their own: nft.LinkGroup.
const LinkGroup = 0x766e

// Protocol is the protocol (ip-route(8)'s proto) of the routes, rules, addresses and neighbour entries of labs.
// iproute2's rt_protos does not use this number.
const Protocol = 118 // "v"

// Table returns the name of a lab's nftables table, the same in each namespace.
func Table(lab string) string { return "vnet_" + lab }

// GuardTable is the nftables table that drops packets between foreign networks: nft.GuardTable.
const GuardTable = "vnet-guard"

// FileMark returns the first line of a lab's files.
func FileMark(lab string) string { return "# " + Of(lab) + "\n" }

// The environment variables that identify a lab's programs.
const (
	EnvLab = "VNET_LAB"
	EnvRun = "VNET_RUN"
)

// RunShell runs a program in a shell. After the program ended with success, a sleeping
// process stays: otherwise the next up would find it missing and run it again.
const RunShell = `sh -c "$` + EnvRun + `" && exec sleep infinity`

// Of returns the mark of a lab: the alias of its links, and the prefix of the
// alternative names that are records.
func Of(lab string) string { return "vnet:" + lab }

// A lab also changes things that it did not create: it adopts namespaces, changes
// settings of the machine, puts a link of the machine into a bridge. Records save the
// former state and the lab's name. A record is an alternative name of lo or of the link
// (IFLA_ALT_IFNAME; up to 127 bytes). So it disappears with the thing it describes.
//
//	vnet:LAB:netns=HOST@FROM      on lo: the namespace is the lab's HOST
//	vnet:LAB:takes=INODE@HOST     on the machine's lo: the inode of that namespace
//	vnet:LAB:net.ipv4.NAME=VALUE  on lo: the former value of the setting
//	vnet:LAB:forwards4=LINK       on lo: the link forwarded IPv4 before vnet made all links do it; forwards6: IPv6
//	vnet:LAB:forces6=LINK         on lo: the link had force_forwarding
//	vnet:LAB:redirects4=all       on lo: net.ipv4.conf.all.accept_redirects was 0
//	vnet:LAB:ra=LINK              on lo: the link accepts router advertisements; see keepAcceptRA
//	vnet:LAB:route=KEY            on lo: the route is the lab's
//	vnet:LAB:rule=KEY             on lo: the rule is the lab's
//	vnet:LAB:addr=PREFIX@LINK     on LINK: the address is the lab's; only on lo, and where the kernel has no IFA_PROTO
//	vnet:LAB:proxy=ADDRESS@LINK   on lo: the proxy entry of the address on LINK is the lab's
//	vnet:LAB:offload=LINK         on LINK: transmit checksum offload is off
//	vnet:LAB:port=MASTER@LINK     on LINK: its former master
//
// Networks of package member have records, too: with _NETWORK in the place of LAB.

// Adopted is the record in an adopted namespace: its host, and where it came from.
func Adopted(lab, host, from string) string {
	return Of(lab) + ":netns=" + host + "@" + Escaper.Replace(from)
}

// AdoptedID is the record in the machine's namespace of an adopted namespace. Root in a
// namespace can write records there; vnet trusts them only if the machine has this record.
// The number is the inode of [nsfs.ID].
func AdoptedID(lab string, inode uint64, host string) string {
	return AdoptedIDPrefix(lab) + strconv.FormatUint(inode, 10) + "@" + host
}

// AdoptedIDPrefix is the prefix of the records of [AdoptedID].
func AdoptedIDPrefix(lab string) string { return Of(lab) + ":takes=" }

// AdoptedHosts returns the adopted hosts in the alternative names of the machine's lo, by the
// inodes of their namespaces.
func AdoptedHosts(names []string, lab string) map[uint64]string {
	hosts := map[uint64]string{}
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, AdoptedIDPrefix(lab))
		number, host, _ := strings.Cut(rest, "@")
		if inode, err := strconv.ParseUint(number, 10, 64); ok && err == nil {
			hosts[inode] = host
		}
	}
	return hosts
}

// Sysctl returns the prefix of a setting's record. In the value, + stands for white space.
func Sysctl(lab, name string) string {
	return Of(lab) + ":" + Escaper.Replace(name) + "="
}

// Route marks a route of the lab outside its own namespaces, where several
// labs may have routes. The name is that of the route's key.
func Route(lab, name string) string {
	return Of(lab) + ":route=" + Escaper.Replace(name)
}

// Rule marks a rule of the lab, in any namespace: vnet reads rules only where there is such a record. The name is that
// of the rule's key.
func Rule(lab, name string) string { return Of(lab) + ":rule=" + Escaper.Replace(name) }

// Forwards returns the prefix of the record of a link that forwarded before the lab turned forwarding on for all
// links. The family is ipv4 or ipv6; the link's name follows.
func Forwards(lab, family string) string { return Of(lab) + ForwardsKey(family) }

// ForwardsKey is the part of the record of [Forwards] after the lab's name.
func ForwardsKey(family string) string { return ":forwards" + strings.TrimPrefix(family, "ipv") + "=" }

// Parts of records after the lab's name; the link's name follows.
const (
	ForcesKey    = ":forces6="
	RedirectsKey = ":redirects4="
	AcceptRAKey  = ":ra="
)

// Address marks an address of the lab: on lo, where several labs may have addresses; on a kernel that keeps no protocol
// of addresses; and in scripts, because ip(8) has a word for the protocol only since 6.3.
func Address(lab, prefix, link string) string {
	return Of(lab) + ":addr=" + Escaper.Replace(prefix) + "@" + link
}

// Proxy marks a proxy neighbour entry of the lab.
func Proxy(lab, addr, link string) string { return ProxyPrefix(lab) + addr + "@" + link }

// ProxyPrefix is the prefix of the records of [Proxy].
func ProxyPrefix(lab string) string { return Of(lab) + ":proxy=" }

// Owner returns the lab that has a record among the names; "" if none has. record is the record of the lab "".
func Owner(names []string, record string) string {
	for _, n := range names {
		if lab, ok := strings.CutSuffix(n, strings.TrimPrefix(record, Of(""))); ok {
			return strings.TrimPrefix(lab, Of(""))
		}
	}
	return ""
}

// Offload marks a link whose offload the lab turned off.
func Offload(lab, link string) string { return Of(lab) + ":offload=" + link }

// Port returns the prefix of the record of a link that the lab made a port.
func Port(lab string) string { return Of(lab) + ":port=" }

// Escaper escapes names in records, because ip(8) rejects alternative names with a slash or a space. Unescaper is its
// reverse.
var (
	Escaper   = strings.NewReplacer("%", "%25", "/", "%2F", " ", "%20")
	Unescaper = strings.NewReplacer("%2F", "/", "%20", " ", "%25", "%")
)

// RecordOwner returns the lab whose record an alternative name is; "" if it is no record that vnet knows.
func RecordOwner(name string) (lab string) {
	lab, record, _ := strings.Cut(strings.TrimPrefix(name, Of("")), ":")
	key, _, ok := strings.Cut(record, "=")
	known := strings.HasPrefix(key, "net.") || slices.Contains([]string{"netns", "takes", "route", "rule", "forwards4",
		"forwards6", "forces6", "redirects4", "ra", "addr", "proxy", "offload", "port"}, key)
	if !ok || !known || !strings.HasPrefix(name, Of("")) {
		return ""
	}
	return lab
}

// Find returns the first of the names with the prefix, and its rest.
func Find(names []string, prefix string) (name, value string) {
	for _, n := range names {
		if v, ok := strings.CutPrefix(n, prefix); ok {
			return n, v
		}
	}
	return "", ""
}

// Foreign returns the former value of a setting that another lab changed; found is false if no other lab changed it.
func Foreign(names []string, lab, name string) (value string, found bool) {
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, "vnet:")
		owner, rest, hasOwner := strings.Cut(rest, ":")
		value, matches := strings.CutPrefix(rest, Escaper.Replace(name)+"=")
		if ok && hasOwner && matches && owner != lab {
			return value, true
		}
	}
	return "", false
}
