package topo

import (
	"strconv"
	"strings"
)

// Mark returns the mark of a lab: the alias of its links, and the prefix of the
// altnames that are records.
func Mark(lab string) string { return "vnet:" + lab }

// A lab also changes things that it did not create: it adopts namespaces, changes
// settings of the machine, puts a link of the machine into a bridge. Records save the
// former state and the lab's name. A record is an altname of lo or of the link
// (IFLA_ALT_IFNAME; up to 127 bytes). So it disappears with the thing it describes.
//
//	vnet:LAB:netns=HOST@FROM      on lo: the namespace is the lab's HOST
//	vnet:LAB:takes=INODE@HOST     on the machine's lo: the inode of that namespace
//	vnet:LAB:net.ipv4.NAME=VALUE  on lo: the former value of the setting
//	vnet:LAB:forwards4=LINK       on lo: the link forwarded before all links did; or forwards6
//	vnet:LAB:ra=LINK              on lo: the link accepts router advertisements; see keepAcceptRA
//	vnet:LAB:route=KEY            on lo: the route is the lab's
//	vnet:LAB:offload=LINK         on LINK: transmit checksum offload is off
//	vnet:LAB:port=MASTER@LINK     on LINK: its former master

// adoptedRecord is the record in an adopted namespace: its host, and where it came from.
func adoptedRecord(lab, host, from string) string {
	return Mark(lab) + ":netns=" + host + "@" + recordEscaper.Replace(from)
}

// adoptedIDRecord is the record in the machine's namespace of an adopted namespace. Root in a
// namespace can write records there; vnet trusts them only if the machine has this record.
// The number is the inode of [nsfs.ID].
func adoptedIDRecord(lab string, inode uint64, host string) string {
	return adoptedIDMark(lab) + strconv.FormatUint(inode, 10) + "@" + host
}

func adoptedIDMark(lab string) string { return Mark(lab) + ":takes=" }

// adoptedHosts returns the adopted hosts in the altnames of the machine's lo, by the
// inodes of their namespaces.
func adoptedHosts(names []string, lab string) map[uint64]string {
	hosts := map[uint64]string{}
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, adoptedIDMark(lab))
		number, host, _ := strings.Cut(rest, "@")
		if inode, err := strconv.ParseUint(number, 10, 64); ok && err == nil {
			hosts[inode] = host
		}
	}
	return hosts
}

// sysctlRecord returns the prefix of a setting's record. In the value, + stands for white space.
func sysctlRecord(lab, name string) string {
	return Mark(lab) + ":" + recordEscaper.Replace(name) + "="
}

// routeRecord marks a route of the lab outside its own namespaces, where several
// labs may have routes. The name is that of the route's key.
func routeRecord(lab, name string) string {
	return Mark(lab) + ":route=" + recordEscaper.Replace(name)
}

// offloadRecord marks a link whose offload the lab turned off.
func offloadRecord(lab, link string) string { return Mark(lab) + ":offload=" + link }

// portRecord returns the prefix of the record of a link that the lab made a port.
func portRecord(lab string) string { return Mark(lab) + ":port=" }

// ip rejects names with a slash or a space.
var (
	recordEscaper   = strings.NewReplacer("%", "%25", "/", "%2F", " ", "%20")
	recordUnescaper = strings.NewReplacer("%2F", "/", "%20", " ", "%25", "%")
)

// findRecord returns the first of the names with the prefix, and its rest.
func findRecord(names []string, prefix string) (name, value string) {
	for _, n := range names {
		if v, ok := strings.CutPrefix(n, prefix); ok {
			return n, v
		}
	}
	return "", ""
}

// foreignRecord returns the former value of a setting that another lab changed; "" if none did.
func foreignRecord(names []string, lab, name string) string {
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, "vnet:")
		owner, rest, found := strings.Cut(rest, ":")
		value, matches := strings.CutPrefix(rest, recordEscaper.Replace(name)+"=")
		if ok && found && matches && owner != lab {
			return value
		}
	}
	return ""
}
