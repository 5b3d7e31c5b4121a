package topo

import (
	"strconv"
	"strings"
)

// Mark is what vnet writes beside what it makes for a lab: the alias of links,
// and the beginning of further names that remember something.
func Mark(lab string) string { return "vnet:" + lab }

// Beside what it made itself, a lab changes what is not its own: it takes
// namespaces in, sets what a machine had set differently, plugs a link of the
// machine into a switch. What was so before, and that the lab did it, is
// remembered where it goes away with its subject: as a further name of lo or of
// the link (IFLA_ALT_IFNAME, ip-link(8)'s altname; up to 127 bytes).
//
//	vnet:LAB:netns=HOST@FROM      on lo: the namespace is the lab's HOST
//	vnet:LAB:takes=INODE@HOST     on the machine's lo: which namespace that is
//	vnet:LAB:net.ipv4.NAME=VALUE  on lo: the setting's value before
//	vnet:LAB:forwards4=LINK       on lo: the link forwarded before all did; or forwards6
//	vnet:LAB:ra=LINK              on lo: the link listens to routers; see keepListening
//	vnet:LAB:route=KEY            on lo: the route is the lab's
//	vnet:LAB:offload=LINK         on LINK: its checksums are not left to others
//	vnet:LAB:port=MASTER@LINK     on LINK: its master before

// takenRecord says which host of the lab a namespace is taken in as, and from where.
func takenRecord(lab string, n Namespace) string {
	return Mark(lab) + ":netns=" + n.Name + "@" + recordWord.Replace(n.From)
}

// takesRecord says, in the machine's namespace, which one is taken in as a host. What
// stands inside of a namespace may be written by whoever rules there, and is
// believed only of this one. The number is of [nsfs.ID].
func takesRecord(lab string, inode uint64, host string) string {
	return takesMark(lab) + strconv.FormatUint(inode, 10) + "@" + host
}

func takesMark(lab string) string { return Mark(lab) + ":takes=" }

// takenIn are the hosts that the names of the machine's lo say were taken in, by the
// inodes of their namespaces.
func takenIn(names []string, lab string) map[uint64]string {
	hosts := map[uint64]string{}
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, takesMark(lab))
		number, host, _ := strings.Cut(rest, "@")
		if inode, err := strconv.ParseUint(number, 10, 64); ok && err == nil {
			hosts[inode] = host
		}
	}
	return hosts
}

// sysctlRecord begins the record of a setting. White space in the value is written +.
func sysctlRecord(lab, name string) string { return Mark(lab) + ":" + recordWord.Replace(name) + "=" }

// routeRecord tells a route of the lab outside its own namespaces, where several
// labs may have some.
func routeRecord(lab string, r Route) string {
	return Mark(lab) + ":route=" + recordWord.Replace(r.Key().Name)
}

// offloadRecord tells of a link that its checksums are the lab's to look at.
func offloadRecord(lab, link string) string { return Mark(lab) + ":offload=" + link }

// portRecord begins the record of a link that the lab made a port.
func portRecord(lab string) string { return Mark(lab) + ":port=" }

// ip takes no name with a slash or a space in it.
var (
	recordWord = strings.NewReplacer("%", "%25", "/", "%2F", " ", "%20")
	recordText = strings.NewReplacer("%2F", "/", "%20", " ", "%25", "%")
)

// findRecord is the first of the names that begins so, and its rest.
func findRecord(names []string, prefix string) (name, value string) {
	for _, n := range names {
		if v, ok := strings.CutPrefix(n, prefix); ok {
			return n, v
		}
	}
	return "", ""
}

// recordOfOthers is what a setting was before another lab set it; "" if none did.
func recordOfOthers(names []string, lab, name string) string {
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, "vnet:")
		owner, rest, found := strings.Cut(rest, ":")
		if value, matches := strings.CutPrefix(rest, recordWord.Replace(name)+"="); ok && found && matches && owner != lab {
			return value
		}
	}
	return ""
}
