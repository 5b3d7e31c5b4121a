package topo

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
)

// commands returns the commands of a step.
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
	case AddrGenNone:
		return w.addrGenCommands(s, o)
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
	return append(w.linkCommands(s), w.ipv6Commands(s)...)
}

// ipv6Commands write the IPv6 settings of links.
func (w *scriptWriter) ipv6Commands(s Step) (cmds []command) {
	for _, l := range s.IPv6Settings(w.ipv6Modes) {
		c := w.ipv6SettingsCommand(l.Link.NS, l.Link.Name, l.Settings...)
		if l.Optional {
			c.text += " || :"
		}
		cmds = append(cmds, c)
	}
	return cmds
}

func (w *scriptWriter) ipv6SettingsCommand(ns, link string, settings ...string) command {
	text := "sysctl -eqw"
	for _, set := range settings {
		if name, value, _ := strings.Cut(set, "="); value == FromDefault {
			read := w.netnsExec(ns, "sysctl -n "+LinkSysctl("ipv6", "default", name)).text
			text += " " + shellWord(LinkSysctl("ipv6", link, name+"=")) + "$(" + read + ")"
			continue
		}
		text += " " + shellWord(LinkSysctl("ipv6", link, set))
	}
	return w.netnsExec(ns, text)
}

// addrGenCommands also delete the link-local address that a link has, or make the kernel
// create one, which it does only if the mode is changed by a sysctl.
func (w *scriptWriter) addrGenCommands(s Step, q AddrGenNone) []command {
	if s.Want == nil {
		return []command{w.ipv6SettingsCommand(q.NS, q.Link, LinkLocalSettings()...)}
	}
	cmds := []command{{q.NS, "ip", "link set dev " + q.Link + " addrgenmode none"}}
	if _, had := w.initial[Key{OfUp, q.NS, q.Link}]; had {
		cmds = append(cmds, command{q.NS, "ip", "-6 addr flush dev " + q.Link + " scope link"})
	}
	return cmds
}

// portCommands also record the former master of the link.
func (w *scriptWriter) portCommands(s Step, o Port) []command {
	set := command{o.NS, "ip", "link set dev " + o.Link + " master " + o.Master}
	dev := shellWord(o.Link)
	link := w.tool("ip", o.NS) + "-o link show dev " + dev
	property := w.tool("ip", o.NS) + "link property "
	record := shellWord(mark.Port(w.lab))
	switch s.Op() {
	case Create:
		was := `"$(` + link + ` | sed -n 's/.* master \([^ ]*\) .*/\1/p')@"` + dev
		return []command{{text: property + "add dev " + dev + " altname " + record + was}, set}
	case Delete:
		find := `was=$(` + link + ` | tr ' \\' '\n\n' | grep -F ` + record + `)`
		restore := `master=${was##*=} master=${master%@*}; ` + w.tool("ip", o.NS) + "link set dev " + dev +
			` ${master:+master} ${master:-nomaster}`
		return []command{{text: find}, {text: restore}, {text: property + "del dev " + dev + ` altname "$was"`}}
	}
	return []command{set}
}

// routeCommands also write a record in namespaces that the lab did not create.
func (w *scriptWriter) routeCommands(s Step, o Route) []command {
	cmds := []command{{o.NS, "ip", "route " + ipVerb(s) + " " + o.wordsWith(" proto "+strconv.Itoa(RouteProtocol))}}
	record := command{o.NS, "ip", "link property " + ipVerb(s) + " dev lo altname " + mark.Route(w.lab, o.Key().Name)}
	n, _ := w.state[Key{OfNamespace, o.NS, ""}].(Namespace)
	switch {
	case o.NS != "" && n.From == "" || s.Op() == Change:
		return cmds
	case s.Op() == Create:
		return []command{record, cmds[0]}
	}
	return append(cmds, record)
}

// RouteProtocol is the protocol of the lab's routes (ip-route(8)'s proto). iproute2's
// rt_protos does not use this number.
const RouteProtocol = 118 // "v"

func ipVerb(s Step) string {
	return map[Op]string{Create: "add", Change: "replace", Delete: "del"}[s.Op()]
}

func (w *scriptWriter) namespaceCommands(s Step, n Namespace) []command {
	if n.From != "" {
		return w.adoptCommands(s, n)
	}
	cmds := []command{{tool: "ip", text: "netns " + ipVerb(s) + " " + n.Name}}
	if s.Op() == Create {
		cmds = append(cmds, command{n.Name, "ip", "link set dev lo alias " + mark.Of(w.lab)})
	}
	return cmds
}

// adoptCommands adopt or release a namespace. It gets records, and a name in /run/netns if
// it has none.
func (w *scriptWriter) adoptCommands(s Step, n Namespace) (cmds []command) {
	record := command{n.Name, "ip", "link property " + ipVerb(s) + " dev lo altname " + mark.Adopted(w.lab, n.Name, n.From)}
	file := shellWord("/run/netns/" + w.refOf(n.Name))
	altname := mark.AdoptedIDPrefix(w.lab) + "$(stat -Lc %i " + file + ")@" + shellWord(n.Name)
	id := command{text: "ip link property " + ipVerb(s) + " dev lo altname " + altname}
	if s.Op() == Delete {
		cmds = append(cmds, record, id)
		if needsName(n) {
			cmds = append(cmds, command{tool: "ip", text: "netns del " + n.Name})
		}
		return cmds
	}
	if needsName(n) {
		cmds = append(cmds, command{text: nameCommand(n)})
	}
	return append(cmds, id, record)
}

func (w *scriptWriter) bridgeVLANText(s Step, v BridgeVLAN) string {
	verb := "add"
	if s.Want == nil {
		verb = "del"
	}
	text := strings.Replace(v.String(), display.In(v.NS)+"vlan", "vlan "+verb, 1)
	if _, ok := w.state[Key{OfLink, v.NS, v.Link}].(Bridge); ok {
		text += " self"
	}
	return text
}

// sysctlCommands also record the former value, as an altname of lo.
func (w *scriptWriter) sysctlCommands(s Step, o Sysctl) []command {
	set := w.netnsExec(o.NS, "sysctl -qw "+shellWord(o.Name+"="+o.Value))
	record := mark.Sysctl(w.lab, o.Name)
	lo := w.tool("ip", o.NS)
	switch s.Op() {
	case Create:
		was := w.netnsExec(o.NS, "sysctl -n "+shellWord(o.Name)).text
		value := `"$(` + was + ` | tr '\t ' '++')"`
		return []command{{text: lo + "link property add dev lo altname " + shellWord(record) + value}, set}
	case Delete:
		find := `was=$(` + lo + `-o link show dev lo | tr ' \\' '\n\n' | grep -F ` + shellWord(record) + `)`
		restore := w.netnsExec(o.NS, "sysctl -qw "+shellWord(o.Name+"=")+`"$(echo "${was#*=}" | tr + ' ')"`).text
		return []command{{text: find}, {text: restore}, {text: lo + `link property del dev lo altname "$was"`}}
	}
	return []command{set}
}

// offloadCommands use ethtool. vnet reads the offload only of links with this record.
func (w *scriptWriter) offloadCommands(s Step, o NoOffload) []command {
	altname := shellWord(mark.Offload(w.lab, o.Link))
	record := command{o.NS, "ip", "link property " + ipVerb(s) + " dev " + shellWord(o.Link) + " altname " + altname}
	if s.Want == nil {
		return []command{w.netnsExec(o.NS, "ethtool -K "+shellWord(o.Link)+" tx on"), record}
	}
	return []command{record, w.netnsExec(o.NS, "ethtool -K "+shellWord(o.Link)+" tx off")}
}

func (w *scriptWriter) fileCommands(s Step, f File) []command {
	file := netnsFile(w.refOf(f.NS), f.Name)
	path, dir := shellWord(file), shellWord(filepath.Dir(file))
	if s.Want == nil {
		return []command{{text: "rm -f " + path}, {text: "rmdir --ignore-fail-on-non-empty " + dir}}
	}
	return []command{
		{text: "mkdir -p " + dir},
		{text: hereDoc("cat > "+path, mark.FileMark(w.lab)+f.Content)},
	}
}

func (w *scriptWriter) processCommands(s Step, p Process) []command {
	lab, run := mark.EnvLab+"="+shellWord(w.lab), shellWord(mark.EnvRun+"="+p.Command)
	if s.Want == nil {
		pids := "ip netns pids " + shellWord(w.refOf(p.NS))
		if p.NS == "" {
			pids = "cd /proc; for p in [0-9]*; do [ $p/ns/net -ef self/ns/net ] && echo $p; done"
		}
		has := "tr '\\0' '\\n' < /proc/$p/environ | grep -qxF "
		kill := "  if { " + has + lab + " && " + has + run + "; } 2>/dev/null; then kill $p; fi\n"
		return []command{{text: "for p in $(" + pids + "); do\n" + kill + "done"}}
	}
	shell := " setsid sh -c " + shellWord(mark.RunShell) + " </dev/null >/dev/null 2>&1 &"
	return []command{w.netnsExec(p.NS, "env "+lab+" "+run+shell)}
}

// linkCommands create, change or delete a link of any type.
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
		return w.parentCommands(s, o.Link, o.ParentNS, o.Parent, " type macvlan mode "+cmp.Or(o.Mode, "bridge"))
	case Ipvlan:
		return w.parentCommands(s, o.Link, o.ParentNS, o.Parent, " type ipvlan mode "+cmp.Or(o.Mode, "l2"))
	}
	return nil
}

// bridgeCommands set MTU and MAC after the bridge is created, as vnet does.
func (w *scriptWriter) bridgeCommands(s Step, b Bridge) []command {
	was, _ := s.Have.(Bridge)
	words := " type bridge"
	options := b.OptionsSince(was)
	for _, o := range options {
		words += fmt.Sprintf(" %s %d", o.Name, o.Value)
	}
	if s.Op() == Create {
		cmds := []command{{b.NS, "ip", "link add name " + creationWords(Link{Name: b.Name, MAC: b.MAC}) + words}}
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
	text := "link add name " + creationWords(near) + " type veth peer name " + creationWords(far)
	if far.NS != near.NS {
		text += " netns " + w.netnsWord(far.NS)
	}
	cmds := []command{{near.NS, "ip", text}}
	for _, l := range v.Ends {
		cmds = append(cmds, w.setLink(atCreation(l), l)...)
	}
	return cmds
}

// netnsWord returns a namespace for ip-link(8)'s netns option: for the machine's, the
// first process.
func (w *scriptWriter) netnsWord(ns string) string {
	if ns == "" {
		return "1"
	}
	return w.refOf(ns)
}

// creationWords returns the properties that ip-link(8) can set when it creates a link. atCreation
// returns the link with these properties only.
func creationWords(l Link) string {
	s := l.Name
	if !l.MAC.IsZero() {
		s += " address " + l.MAC.String()
	}
	if l.MTU != 0 {
		s += " mtu " + strconv.Itoa(l.MTU)
	}
	return s
}

func atCreation(l Link) Link { return Link{NS: l.NS, Name: l.Name, MAC: l.MAC, MTU: l.MTU} }

func (w *scriptWriter) plainCommands(s Step, l Link, kind, parent string) []command {
	if s.Op() == Change {
		return w.setLink(s.Have.(LinkObject).Links()[0], l)
	}
	text := "link add name " + creationWords(l)
	if parent != "" {
		text += " link " + parent
	}
	return append([]command{{l.NS, "ip", text + kind}}, w.setLink(atCreation(l), l)...)
}

// parentCommands create a link whose parent may be in another namespace.
func (w *scriptWriter) parentCommands(s Step, l Link, parentNS, parent, kind string) []command {
	if s.Op() == Change || parentNS == l.NS {
		return w.plainCommands(s, l, kind, parent)
	}
	text := "link add name " + creationWords(l) + " link " + parent + " netns " + w.netnsWord(l.NS) + kind
	return append([]command{{parentNS, "ip", text}}, w.setLink(atCreation(l), l)...)
}

// setLink changes the properties that differ. A new link also gets the mark.
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
	if was == atCreation(l) || was == (Link{NS: l.NS, Name: l.Name}) {
		set += " alias " + mark.Of(w.lab)
	}
	var cmds []command
	if set != "" {
		cmds = append(cmds, command{l.NS, "ip", "link set dev " + l.Name + set})
	}
	if l.Master != "" && (was.Isolated != l.Isolated || was.Hairpin != l.Hairpin) {
		port := " isolated " + onOff(l.Isolated) + " hairpin " + onOff(l.Hairpin)
		cmds = append(cmds, command{l.NS, "ip", "link set dev " + l.Name + " type bridge_slave" + port})
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
