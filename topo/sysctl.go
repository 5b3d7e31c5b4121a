package topo

import (
	"net/netip"
	"sort"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A Sysctl is a network setting of a namespace. A record in the kernel saves the
// former value. vnet restores it when the lab no longer has the setting.
type Sysctl struct {
	NS    string
	Name  string // net.ipv4.ip_forward; with slashes where a link's name has a dot
	Value string
}

// Key implements [Object].
func (s Sysctl) Key() Key { return Key{OfSysctl, s.NS, s.Name} }

// String is "red: sysctl net.ipv4.ip_forward = 1".
func (s Sysctl) String() string { return display.In(s.NS) + "sysctl " + s.Name + " = " + s.Value }

func (s Sysctl) needs() []Key {
	keys := []Key{{OfNamespace, s.NS, ""}}
	if link := s.link(); link != "" {
		keys = append(keys, Key{OfLink, s.NS, link})
	}
	return keys
}

// link returns the link of a per-link setting, "" for any other setting.
func (s Sysctl) link() string {
	parts := s.Path()
	if len(parts) < 5 || parts[2] != "conf" && parts[2] != "neigh" || parts[3] == "all" || parts[3] == "default" {
		return ""
	}
	return parts[3]
}

// Path splits the name. The first separator in a name decides: with dots, a slash
// stands for a dot in a link's name; with slashes, a dot is a dot. See sysctl(8).
func (s Sysctl) Path() []string {
	if i := strings.IndexAny(s.Name, "./"); i >= 0 && s.Name[i] == '/' {
		return strings.Split(s.Name, "/")
	}
	parts := strings.Split(s.Name, ".")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, "/", ".")
	}
	return parts
}

func (s Sysctl) provides() []Key       { return []Key{s.Key()} }
func (s Sysctl) canBecome(Object) bool { return true }
func (s Sysctl) normal() Object {
	parts := s.Path()
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, ".", "/")
	}
	s.Name = strings.Join(parts, ".")
	words := strings.Fields(s.Value)
	for i, word := range words {
		if s.Name != "net.core.rps_default_mask" { // hexadecimal without 0x
			words[i] = decimal(word)
		}
	}
	s.Value = strings.Join(words, " ")
	if s.Name == linux.ReservedPorts {
		s.Value = ranges(s.Value)
	}
	if a, err := netip.ParseAddr(s.Value); err == nil && strings.HasSuffix(s.Name, ".stable_secret") {
		s.Value = a.StringExpanded() // as the kernel prints it
	}
	if s.Name == linux.LinkSysctl("ipv4", "all", "forwarding") {
		s.Name = linux.ForwardingIPv4 // the kernel has two names for this sysctl
	}
	return s
}

// decimal returns a word as the kernel prints it, if the kernel reads it as another number than it looks like: 0x10 and
// 020 are 16. It returns any other word as it is.
func decimal(word string) string {
	digits, negative := strings.CutPrefix(word, "-")
	n, err := strconv.ParseUint(digits, 0, 64)
	binary := strings.HasPrefix(strings.ToLower(digits), "0b")
	if err != nil || digits[0] != '0' || binary || strings.ContainsAny(digits, "_oO") { // only Go has these
		return word
	}
	if digits = strconv.FormatUint(n, 10); negative && n != 0 {
		return "-" + digits
	}
	return digits
}

// ranges returns a list of numbers and ranges as the kernel prints it: 8081,8080 is 8080-8081. It returns any other
// text as it is.
func ranges(list string) string {
	var all [][2]uint64
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, errFirst := strconv.ParseUint(decimal(first), 10, 16)
		b, errLast := strconv.ParseUint(decimal(last), 10, 16)
		if errFirst != nil || errLast != nil || b < a {
			return list
		}
		all = append(all, [2]uint64{a, b})
	}
	sort.Slice(all, func(i, j int) bool { return all[i][0] < all[j][0] })
	var texts []string
	for i := 0; i < len(all); {
		first, last := all[i][0], all[i][1]
		for i++; i < len(all) && all[i][0] <= last+1; i++ {
			last = max(last, all[i][1])
		}
		text := strconv.FormatUint(first, 10)
		if last > first {
			text += "-" + strconv.FormatUint(last, 10)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ",")
}

// rank puts settings for all links before settings for one link: writing the
// former (for example ip_forward) may change the latter. Of the limits of the memory for
// fragments, the lower one may never be above the upper one; in a new namespace, that is 4 MiB.
func (s Sysctl) rank() int {
	switch n, _ := strconv.ParseInt(s.Value, 10, 64); {
	case s.link() != "", strings.HasSuffix(s.Name, "frag_high_thresh"), strings.HasSuffix(s.Name, "frag6_high_thresh"):
		return 1
	case n > 4<<20 && (strings.HasSuffix(s.Name, "frag_low_thresh") || strings.HasSuffix(s.Name, "frag6_low_thresh")):
		return 2
	}
	return 0
}

func (s Sysctl) needsIPv6() bool {
	return strings.HasPrefix(s.Name, "net.ipv6.") || strings.HasPrefix(s.Name, "net/ipv6/")
}

// IPv6Link splits net.ipv6.conf.LINK.NAME; ok is false for any other setting.
func (s Sysctl) IPv6Link() (link, name string, ok bool) {
	path := s.Path()
	if len(path) != 5 || path[1] != "ipv6" || path[2] != "conf" {
		return "", "", false
	}
	return path[3], path[4], true
}

func (s Sysctl) useIPv6(uses linkUses) {
	if link, name, ok := s.IPv6Link(); ok {
		use := usesIPv6Otherwise
		if name == "disable_ipv6" {
			use |= setsDisableIPv6
		}
		uses[Key{OfLink, s.NS, link}] |= use
	}
}

// commands returns commands that also record the former value, as an alternative name of lo.
func (s Sysctl) commands(w *scriptWriter, step Step) []command {
	set := w.netnsExec(s.NS, "sysctl -qw "+shellWord(s.Name+"="+s.Value))
	record := mark.Sysctl(w.lab, s.Name)
	lo := w.tool("ip", s.NS)
	switch step.Op() {
	case Create:
		value := `"$(` + w.netnsExec(s.NS, "sysctl -n "+shellWord(s.Name)).text + ` | tr '\t ' '++')"`
		var cmds []command
		if w.isShared(s.NS) { // another lab may have changed it first
			cmds, value = []command{{text: "was=" + `$(` + w.altNames(s.NS) + " | grep -m1 -F " + shellWord(s.anyRecord()) +
				" || echo " + value + ")"}}, `"${was#*=}"`
		}
		cmds = append(cmds, command{text: lo + "link property add dev lo altname " + shellWord(record) + value})
		cmds = append(cmds, w.recordForwardingCommands(s)...)
		return append(append(cmds, w.guardCommands(s)...), set)
	case Delete:
		find := `was=$(` + w.altNames(s.NS) + ` | grep -F ` + shellWord(record) + `)`
		restore := w.netnsExec(s.NS, "sysctl -qw "+shellWord(s.Name+"=")+`"$(echo "${was#*=}" | tr + ' ')"`).text
		if w.isShared(s.NS) { // the last lab restores it
			restore = w.altNames(s.NS) + " | grep -F " + shellWord(s.anyRecord()) + " | grep -qvF " + shellWord(record) +
				" || " + restore
		}
		cmds := append([]command{{text: find}, {text: restore}}, w.restoreForwardingCommands(s)...)
		cmds = append(cmds, w.unguardCommands(s)...)
		return append(cmds, command{text: lo + `link property del dev lo altname "$was"`})
	}
	return []command{set}
}

// anyRecord is the part of the sysctl's record that is the same for all labs.
func (s Sysctl) anyRecord() string { return strings.TrimPrefix(mark.Sysctl("", s.Name), mark.Of("")) }

// altNames returns a command that prints the words of ip link show dev lo, one a line.
func (w *scriptWriter) altNames(ns string) string {
	return w.tool("ip", ns) + `-o link show dev lo | tr ' \\' '\n\n'`
}

// recordForwardingCommands returns the commands that record which links forward although the sysctl for all links is
// off: a write to that sysctl also writes the sysctl of each link.
func (w *scriptWriter) recordForwardingCommands(s Sysctl) []command {
	family := s.guardedFamily()
	if family == "" || !w.isShared(s.NS) {
		return nil
	}
	off := `[ "$(` + w.netnsExec(s.NS, "sysctl -n "+s.Name).text + `)" = 1 ] || `
	list := w.netnsExec(s.NS, `sh -c 'cd /proc/sys/net/`+family+`/conf; grep -lx 1 */forwarding'`).text
	record := shellWord(mark.Forwards(w.lab, family)) + `"${link%/*}"`
	add := w.tool("ip", s.NS) + "link property add dev lo altname " + record
	return []command{{text: off + "for link in $(" + list + "); do " + add + "; done"}}
}

// restoreForwardingCommands returns the commands that restore the recorded sysctls, which the kernel reset together
// with forwarding.
func (w *scriptWriter) restoreForwardingCommands(s Sysctl) []command {
	family := s.guardedFamily()
	if family == "" || !w.isShared(s.NS) {
		return nil
	}
	restore := func(key, assignment string) command {
		return w.forRecords(s.NS, key, w.netnsExec(s.NS, `sysctl -qw "net/`+family+`/conf/${record#*=}/`+assignment+`"`).text)
	}
	cmds := []command{restore(mark.ForwardsKey(family), "forwarding=1")}
	if family == "ipv4" {
		return append(cmds, restore(mark.RedirectsKey, "accept_redirects=0"))
	}
	ra := `"net/ipv6/conf/${record#*=}/accept_ra`
	restoreRA := w.altNames(s.NS) + ` | grep -x ".*` + mark.AcceptRAKey + `${record#*=}" | grep -qvxF "$record" || [ "$(` +
		w.netnsExec(s.NS, "sysctl -n "+ra+`"`).text + `)" != 2 ] || ` + w.netnsExec(s.NS, "sysctl -qw "+ra+`=1"`).text
	return append(cmds, restore(mark.ForcesKey, "force_forwarding=1"), w.forRecords(s.NS, mark.AcceptRAKey, restoreRA))
}

// forRecords returns a command that runs another one for each record of the lab on lo with this key, and then deletes
// the record. The other command may fail; its shell variable record is the record.
func (w *scriptWriter) forRecords(ns, key, run string) command {
	list := w.altNames(ns) + " | grep -F " + shellWord(mark.Of(w.lab)+key)
	del := w.tool("ip", ns) + `link property del dev lo altname "$record"`
	return command{text: "for record in $(" + list + "); do " + run + " || :; " + del + "; done"}
}

// guardCommands returns the commands that add the guard if the sysctl turns forwarding on that is off. It
// returns none in namespaces that the lab creates, because these have no foreign networks.
func (w *scriptWriter) guardCommands(s Sysctl) []command {
	family := s.guardedFamily()
	if family == "" || !w.isShared(s.NS) {
		return nil
	}
	off := `[ "$(` + w.netnsExec(s.NS, "sysctl -n "+s.Name).text + `)" = 1 ] || `
	list := w.netnsExec(s.NS, "nft list table inet "+mark.GuardTable).text + " >/dev/null 2>&1 || "
	add := w.netnsExec(s.NS, "nft add element inet "+mark.GuardTable+" guarded '{ "+family+" }'").text
	table := hereDoc(list+w.netnsExec(s.NS, "nft -f -").text, w.natScript.Guard(family == "ipv6"))
	return []command{{text: off + "{ " + table + "\n" + add + "; }"}}
}

// unguardCommands returns the commands that remove the guard after forwarding is off again.
func (w *scriptWriter) unguardCommands(s Sysctl) []command {
	family := s.guardedFamily()
	if family == "" || !w.isShared(s.NS) {
		return nil
	}
	on := `[ "$(` + w.netnsExec(s.NS, "sysctl -n "+s.Name).text + `)" = 1 ] || `
	nft := func(words string) string { return w.netnsExec(s.NS, "nft "+words).text }
	return []command{
		{text: on + nft("delete element inet "+mark.GuardTable+" guarded '{ "+family+" }'") + " 2>/dev/null || :"},
		{text: nft("list set inet "+mark.GuardTable+" guarded") + " 2>/dev/null | grep -q elements || " +
			nft("delete table inet "+mark.GuardTable) + " 2>/dev/null || :"},
	}
}

// guardedFamily returns nft's name of the family that the sysctl forwards; "" for other sysctls.
func (s Sysctl) guardedFamily() string {
	switch s.normal().(Sysctl).Name {
	case linux.ForwardingIPv4:
		return "ipv4"
	case linux.ForwardingIPv6:
		return "ipv6"
	}
	return ""
}
