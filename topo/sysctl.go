package topo

import (
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
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
	s.Name, s.Value = strings.Join(parts, "."), strings.Join(strings.Fields(s.Value), " ")
	return s
}

// rank puts settings for all links before settings for one link: writing the
// former (for example ip_forward) may change the latter.
func (s Sysctl) rank() int {
	if s.link() != "" {
		return 1
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

// commands also record the former value, as an altname of lo.
func (s Sysctl) commands(w *scriptWriter, step Step) []command {
	set := w.netnsExec(s.NS, "sysctl -qw "+shellWord(s.Name+"="+s.Value))
	record := mark.Sysctl(w.lab, s.Name)
	lo := w.tool("ip", s.NS)
	switch step.Op() {
	case Create:
		was := w.netnsExec(s.NS, "sysctl -n "+shellWord(s.Name)).text
		value := `"$(` + was + ` | tr '\t ' '++')"`
		return []command{{text: lo + "link property add dev lo altname " + shellWord(record) + value}, set}
	case Delete:
		find := `was=$(` + lo + `-o link show dev lo | tr ' \\' '\n\n' | grep -F ` + shellWord(record) + `)`
		restore := w.netnsExec(s.NS, "sysctl -qw "+shellWord(s.Name+"=")+`"$(echo "${was#*=}" | tr + ' ')"`).text
		return []command{{text: find}, {text: restore}, {text: lo + `link property del dev lo altname "$was"`}}
	}
	return []command{set}
}
