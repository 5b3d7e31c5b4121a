package topo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
)

// A Namespace is a network namespace.
type Namespace struct {
	// Name is the name in the lab. For a namespace that the lab creates, it is
	// also the name in /run/netns.
	Name string
	// From says where an adopted namespace is: a name, a path, or a process id in
	// digits. vnet never deletes it. "" means that the lab creates the namespace.
	From string
}

// Key implements [Object].
func (n Namespace) Key() Key { return Key{OfNamespace, n.Name, ""} }

// Ref returns the name in /run/netns. It is "" for a namespace adopted by path or
// process id, which may have no name.
func (n Namespace) Ref() string {
	switch {
	case n.From == "":
		return n.Name
	case n.HasPath(), n.HasPID():
		return ""
	}
	return n.From
}

// HasPath reports whether From is a path.
func (n Namespace) HasPath() bool { return strings.Contains(n.From, "/") }

// HasPID reports whether From is a process id.
func (n Namespace) HasPID() bool {
	_, err := strconv.ParseUint(n.From, 10, 31)
	return err == nil
}

// String is "netns red".
func (n Namespace) String() string {
	if n.From != "" {
		return fmt.Sprintf("netns %s adopted from %s", n.Name, n.From)
	}
	return "netns " + n.Name
}

func (n Namespace) needs() []Key          { return nil }
func (n Namespace) provides() []Key       { return []Key{n.Key()} }
func (n Namespace) canBecome(Object) bool { return false }
func (n Namespace) normal() Object        { return n }

func (n Namespace) commands(w *scriptWriter, s Step) []command {
	if n.From != "" {
		return n.adoptCommands(w, s)
	}
	cmds := []command{{tool: "ip", text: "netns " + ipVerb(s) + " " + n.Name}}
	if s.Op() == Create {
		cmds = append(cmds, w.netnsExec(n.Name, markCommand(w.lab, n.Name)),
			command{n.Name, "ip", "link set dev lo alias " + mark.Of(w.lab)},
			w.netnsExec(n.Name, "sysctl -eqw "+strings.ReplaceAll(OwnDefaultDir+"/"+OwnDefault, "/", ".")))
	}
	return cmds
}

// markCommand returns the command that marks the name of a namespace: it writes into the file under the mount. In the
// mount namespace of ip netns exec, the mount can be removed.
func markCommand(lab, name string) string {
	file := shellWord("/run/netns/" + name)
	return "sh -c " + shellWord("umount -l "+file+" && printf %s "+mark.Of(lab)+" >"+file)
}

// adoptCommands returns the commands that adopt or release a namespace. An adopted namespace
// gets records, and a name in /run/netns if it has none.
func (n Namespace) adoptCommands(w *scriptWriter, s Step) (cmds []command) {
	adopted := mark.Adopted(w.lab, n.Name, n.From)
	record := command{n.Name, "ip", "link property " + ipVerb(s) + " dev lo altname " + adopted}
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

// needsName reports whether an adopted namespace has no name in /run/netns.
func needsName(n Namespace) bool { return n.Ref() == "" }

// nameCommand returns the command that gives it one.
func nameCommand(n Namespace) string {
	if n.HasPID() {
		return "ip netns attach " + shellWord(n.Name) + " " + n.From
	}
	file := shellWord("/run/netns/" + n.Name)
	return "mkdir -p /run/netns && touch " + file + " && mount --bind " + shellWord(n.From) + " " + file
}
