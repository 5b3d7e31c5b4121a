package topo

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// commands are the lines that carry a step out.
func (w *scriptWriter) commands(s Step) []command {
	switch o := s.Object().(type) {
	case Namespace:
		return w.namespaceCommands(s, o)
	case Port:
		return w.portCommands(s, o)
	case BridgeVLAN:
		return []command{{o.NS, "bridge", w.bridgeVLANText(s, o)}}
	case Qdisc:
		if s.Want == nil {
			return []command{{o.NS, "tc", "qdisc del dev " + o.Link + " root"}}
		}
		return []command{{o.NS, "tc", "qdisc replace dev " + o.Link + " root " + o.words()}}
	case NoOffload:
		return w.offloadCommands(s, o)
	case Sysctl:
		return w.sysctlCommands(s, o)
	case Quiet:
		return w.quietCommands(s, o)
	case Up:
		return []command{{o.NS, "ip", "link set dev " + o.Link + map[Op]string{Create: " up", Delete: " down"}[s.Op()]}}
	case Address:
		text := "addr " + ipVerb(s) + " " + o.Prefix.String() + " dev " + o.Link
		if s.Op() == Create && o.Prefix.Addr().Is6() {
			text += " nodad"
		}
		return []command{{o.NS, "ip", text}}
	case Neigh:
		if s.Want == nil {
			return []command{{o.NS, "ip", "neigh del " + o.Key().Name}}
		}
		return []command{{o.NS, "ip", "neigh replace " + o.Key().Name + " lladdr " + o.MAC.String() + " nud permanent"}}
	case Route:
		return w.routeCommands(s, o)
	case File:
		return w.fileCommands(s, o)
	case Process:
		return w.processCommands(s, o)
	}
	return append(w.linkCommands(s), w.voiceCommands(s)...)
}

// voiceCommands tell links what they say of IPv6.
func (w *scriptWriter) voiceCommands(s Step) (cmds []command) {
	for _, l := range s.told6(w.voices) {
		c := w.set6(l.link.NS, l.link.Name, l.settings...)
		if l.spare {
			c.text += " || :"
		}
		cmds = append(cmds, c)
	}
	return cmds
}

func (w *scriptWriter) set6(ns, link string, settings ...string) command {
	text := "sysctl -eqw"
	for _, set := range settings {
		if name, value, _ := strings.Cut(set, "="); value == asByDefault {
			text += " " + shellWord(setting("ipv6", link, name+"=")) + "$(" + w.inside(ns, "sysctl -n "+setting("ipv6", "default", name)).text + ")"
			continue
		}
		text += " " + shellWord(setting("ipv6", link, set))
	}
	return w.inside(ns, text)
}

// quietCommands also take the address away that a link has got already, or let the
// kernel make one, which it does only if it is told so by a setting.
func (w *scriptWriter) quietCommands(s Step, q Quiet) []command {
	if s.Want == nil {
		return []command{w.set6(q.NS, q.Link, speaking()...)}
	}
	cmds := []command{{q.NS, "ip", "link set dev " + q.Link + " addrgenmode none"}}
	if _, had := w.had[Key{OfUp, q.NS, q.Link}]; had {
		cmds = append(cmds, command{q.NS, "ip", "-6 addr flush dev " + q.Link + " scope link"})
	}
	return cmds
}

// portCommands remember of what the link was a port before.
func (w *scriptWriter) portCommands(s Step, o Port) []command {
	set := command{o.NS, "ip", "link set dev " + o.Link + " master " + o.Master}
	dev := shellWord(o.Link)
	link := w.tool("ip", o.NS) + "-o link show dev " + dev
	property := w.tool("ip", o.NS) + "link property "
	record := shellWord(portRecord(w.lab))
	switch s.Op() {
	case Create:
		was := `"$(` + link + ` | sed -n 's/.* master \([^ ]*\) .*/\1/p')@"` + dev
		return []command{{text: property + "add dev " + dev + " altname " + record + was}, set}
	case Delete:
		find := `was=$(` + link + ` | tr ' \\' '\n\n' | grep -F ` + record + `)`
		restore := `master=${was##*=} master=${master%@*}; ` + w.tool("ip", o.NS) + "link set dev " + dev + ` ${master:+master} ${master:-nomaster}`
		return []command{{text: find}, {text: restore}, {text: property + "del dev " + dev + ` altname "$was"`}}
	}
	return []command{set}
}

// routeCommands leave a record where not all is the lab's.
func (w *scriptWriter) routeCommands(s Step, o Route) []command {
	cmds := []command{{o.NS, "ip", "route " + ipVerb(s) + " " + o.wordsWith(" proto "+strconv.Itoa(RouteProtocol))}}
	record := command{o.NS, "ip", "link property " + ipVerb(s) + " dev lo altname " + routeRecord(w.lab, o)}
	n, _ := w.state[Key{OfNamespace, o.NS, ""}].(Namespace)
	switch {
	case o.NS != "" && n.From == "" || s.Op() == Change:
		return cmds
	case s.Op() == Create:
		return []command{record, cmds[0]}
	}
	return append(cmds, record)
}

// RouteProtocol is what routes of labs say that they were made by; ip-route(8)'s
// proto. The number is nobody's in iproute2's rt_protos.
const RouteProtocol = 118 // "v"

func ipVerb(s Step) string {
	return map[Op]string{Create: "add", Change: "replace", Delete: "del"}[s.Op()]
}

func (w *scriptWriter) namespaceCommands(s Step, n Namespace) []command {
	if n.From != "" {
		return w.takenCommands(s, n)
	}
	cmds := []command{{tool: "ip", text: "netns " + ipVerb(s) + " " + n.Name}}
	if s.Op() == Create {
		cmds = append(cmds, command{n.Name, "ip", "link set dev lo alias " + Mark(w.lab)})
	}
	return cmds
}

// takenCommands take a namespace in, and give it back: it gets a record, and a
// name for ip to know it by if it has none.
func (w *scriptWriter) takenCommands(s Step, n Namespace) (cmds []command) {
	record := command{n.Name, "ip", "link property " + ipVerb(s) + " dev lo altname " + takenRecord(w.lab, n)}
	file := shellWord("/run/netns/" + w.refOf(n.Name))
	takes := command{text: "ip link property " + ipVerb(s) + " dev lo altname " + takesMark(w.lab) + "$(stat -Lc %i " + file + ")@" + shellWord(n.Name)}
	if s.Op() == Delete {
		cmds = append(cmds, record, takes)
		if nameless(n) {
			cmds = append(cmds, command{tool: "ip", text: "netns del " + n.Name})
		}
		return cmds
	}
	if nameless(n) {
		cmds = append(cmds, command{text: nameIt(n)})
	}
	return append(cmds, takes, record)
}

func (w *scriptWriter) bridgeVLANText(s Step, v BridgeVLAN) string {
	verb := "add"
	if s.Want == nil {
		verb = "del"
	}
	text := strings.Replace(v.String(), in(v.NS)+"vlan", "vlan "+verb, 1)
	if _, ok := w.state[Key{OfLink, v.NS, v.Link}].(Bridge); ok {
		text += " self"
	}
	return text
}

// sysctlCommands remember what the setting was as a further name of lo.
func (w *scriptWriter) sysctlCommands(s Step, o Sysctl) []command {
	set := w.inside(o.NS, "sysctl -qw "+shellWord(o.Name+"="+o.Value))
	record := sysctlRecord(w.lab, o.Name)
	lo := w.tool("ip", o.NS)
	switch s.Op() {
	case Create:
		was := w.inside(o.NS, "sysctl -n "+shellWord(o.Name)).text
		return []command{{text: lo + "link property add dev lo altname " + shellWord(record) + `"$(` + was + ` | tr '\t ' '++')"`}, set}
	case Delete:
		find := `was=$(` + lo + `-o link show dev lo | tr ' \\' '\n\n' | grep -F ` + shellWord(record) + `)`
		restore := w.inside(o.NS, "sysctl -qw "+shellWord(o.Name+"=")+`"$(echo "${was#*=}" | tr + ' ')"`).text
		return []command{{text: find}, {text: restore}, {text: lo + `link property del dev lo altname "$was"`}}
	}
	return []command{set}
}

// offloadCommands need ethtool besides; the record is for vnet to look there.
func (w *scriptWriter) offloadCommands(s Step, o NoOffload) []command {
	record := command{o.NS, "ip", "link property " + ipVerb(s) + " dev " + shellWord(o.Link) + " altname " + shellWord(offloadRecord(w.lab, o.Link))}
	if s.Want == nil {
		return []command{w.inside(o.NS, "ethtool -K "+shellWord(o.Link)+" tx on"), record}
	}
	return []command{record, w.inside(o.NS, "ethtool -K "+shellWord(o.Link)+" tx off")}
}

func (w *scriptWriter) fileCommands(s Step, f File) []command {
	path := shellWord(netnsFile(w.refOf(f.NS), f.Name))
	if s.Want == nil {
		return []command{{text: "rm -f " + path}, {text: "rmdir --ignore-fail-on-non-empty " + shellWord(filepath.Dir(netnsFile(w.refOf(f.NS), f.Name)))}}
	}
	return []command{
		{text: "mkdir -p " + shellWord(filepath.Dir(netnsFile(w.refOf(f.NS), f.Name)))},
		{text: hereDoc("cat > "+path, fileMark(w.lab)+f.Content)},
	}
}

// fileMark is the first line of a lab's files.
func fileMark(lab string) string { return "# " + Mark(lab) + "\n" }

// The environment by which a lab's programs are known.
const (
	envLab = "VNET_LAB"
	envRun = "VNET_RUN"
)

// runShell is the shell's part of a program. One that has done its work leaves a
// process that only remembers it: else it would be missing, and done again.
const runShell = `sh -c "$` + envRun + `" && exec sleep infinity`

func (w *scriptWriter) processCommands(s Step, p Process) []command {
	lab, run := envLab+"="+shellWord(w.lab), shellWord(envRun+"="+p.Command)
	if s.Want == nil {
		pids := "ip netns pids " + shellWord(w.refOf(p.NS))
		if p.NS == "" {
			pids = "cd /proc; for p in [0-9]*; do [ $p/ns/net -ef self/ns/net ] && echo $p; done"
		}
		has := "tr '\\0' '\\n' < /proc/$p/environ | grep -qxF "
		return []command{{text: "for p in $(" + pids + "); do\n  if { " + has + lab + " && " + has + run + "; } 2>/dev/null; then kill $p; fi\ndone"}}
	}
	return []command{w.inside(p.NS, "env "+lab+" "+run+" setsid sh -c "+shellWord(runShell)+" </dev/null >/dev/null 2>&1 &")}
}

// linkCommands make, change or delete a link of any type.
func (w *scriptWriter) linkCommands(s Step) []command {
	if s.Want == nil {
		k := s.Have.Key()
		return []command{{k.NS, "ip", "link del dev " + k.Name}}
	}
	switch o := s.Want.(type) {
	case Bridge:
		return w.bridgeCommands(s, o)
	case Veth:
		return w.vethCommands(s, o)
	case Dummy:
		return w.plainCommands(s, o.Link, " type dummy", "")
	case VLAN:
		return w.plainCommands(s, o.Link, fmt.Sprintf(" type vlan id %d", o.ID), o.Parent)
	case VXLAN:
		return w.plainCommands(s, o.Link, o.typeWords(), "")
	case Macvlan:
		return w.overCommands(s, o.Link, o.ParentNS, o.Parent, " type macvlan mode "+or(o.Mode, "bridge"))
	case Ipvlan:
		return w.overCommands(s, o.Link, o.ParentNS, o.Parent, " type ipvlan mode "+or(o.Mode, "l2"))
	}
	return nil
}

// bridgeCommands set MTU and MAC once the bridge is there, as vnet does.
func (w *scriptWriter) bridgeCommands(s Step, b Bridge) []command {
	was, _ := s.Have.(Bridge)
	words := " type bridge"
	options := b.optionsSince(was)
	for _, o := range options {
		words += fmt.Sprintf(" %s %d", o.name, o.value)
	}
	if s.Op() == Create {
		cmds := []command{{b.NS, "ip", "link add name " + bornWords(Link{Name: b.Name, MAC: b.MAC}) + words}}
		return append(cmds, w.setLink(Link{NS: b.NS, Name: b.Name}, b.Link)...)
	}
	var cmds []command
	if len(options) > 0 {
		cmds = append(cmds, command{b.NS, "ip", "link set dev " + b.Name + words})
	}
	return append(cmds, w.setLink(was.Link, b.Link)...)
}

func (w *scriptWriter) vethCommands(s Step, v Veth) []command {
	near, far := v.Ends[0], v.Ends[1]
	if s.Op() == Change {
		was := s.Have.(Veth)
		return append(w.setLink(was.Ends[0], near), w.setLink(was.Ends[1], far)...)
	}
	text := "link add name " + bornWords(near) + " type veth peer name " + bornWords(far)
	if far.NS != near.NS {
		text += " netns " + w.netnsWord(far.NS)
	}
	cmds := []command{{near.NS, "ip", text}}
	for _, l := range v.Ends {
		cmds = append(cmds, w.setLink(born(l), l)...)
	}
	return cmds
}

// netnsWord names a namespace to ip-link(8), for which the machine's is that of
// the first process.
func (w *scriptWriter) netnsWord(ns string) string {
	if ns == "" {
		return "1"
	}
	return w.refOf(ns)
}

// bornWords are what a link can have at birth, and born is that.
func bornWords(l Link) string {
	s := l.Name
	if !l.MAC.IsZero() {
		s += " address " + l.MAC.String()
	}
	if l.MTU != 0 {
		s += " mtu " + strconv.Itoa(l.MTU)
	}
	return s
}

func born(l Link) Link { return Link{NS: l.NS, Name: l.Name, MAC: l.MAC, MTU: l.MTU} }

func (w *scriptWriter) plainCommands(s Step, l Link, kind, parent string) []command {
	if s.Op() == Change {
		return w.setLink(s.Have.(linked).links()[0], l)
	}
	text := "link add name " + bornWords(l)
	if parent != "" {
		text += " link " + parent
	}
	return append([]command{{l.NS, "ip", text + kind}}, w.setLink(born(l), l)...)
}

// overCommands make a link whose parent may be in another namespace.
func (w *scriptWriter) overCommands(s Step, l Link, parentNS, parent, kind string) []command {
	if s.Op() == Change || parentNS == l.NS {
		return w.plainCommands(s, l, kind, parent)
	}
	text := "link add name " + bornWords(l) + " link " + parent + " netns " + w.netnsWord(l.NS) + kind
	return append([]command{{parentNS, "ip", text}}, w.setLink(born(l), l)...)
}

// setLink gives a link what it has not, and for a new one the mark.
func (w *scriptWriter) setLink(was, l Link) []command {
	set := ""
	if was.MAC != l.MAC && !l.MAC.IsZero() {
		set += " address " + l.MAC.String()
	}
	if was.MTU != l.MTU {
		set += " mtu " + strconv.Itoa(l.MTU)
	}
	switch {
	case was.Master != l.Master && l.Master == "":
		set += " nomaster"
	case was.Master != l.Master:
		set += " master " + l.Master
	}
	if was == born(l) || was == (Link{NS: l.NS, Name: l.Name}) {
		set += " alias " + Mark(w.lab)
	}
	var cmds []command
	if set != "" {
		cmds = append(cmds, command{l.NS, "ip", "link set dev " + l.Name + set})
	}
	if l.Master != "" && (was.Isolated != l.Isolated || was.Hairpin != l.Hairpin) {
		cmds = append(cmds, command{l.NS, "ip", fmt.Sprintf("link set dev %s type bridge_slave isolated %s hairpin %s", l.Name, onOff(l.Isolated), onOff(l.Hairpin))})
	}
	if was.AltName != "" && was.AltName != l.AltName {
		cmds = append(cmds, command{l.NS, "ip", "link property del dev " + l.Name + " altname " + was.AltName})
	}
	if l.AltName != "" && was.AltName != l.AltName {
		cmds = append(cmds, command{l.NS, "ip", "link property add dev " + l.Name + " altname " + l.AltName})
	}
	return cmds
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
