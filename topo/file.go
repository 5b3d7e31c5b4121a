package topo

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A File is /etc/netns/NS/NAME. Programs that vnet or ip starts in the namespace
// see it as /etc/NAME; see ip-netns(8).
type File struct {
	NS      string // not ""
	Name    string // hosts, resolv.conf
	Content string // complete, with the final newline
}

// Key implements [Object].
func (f File) Key() Key { return Key{OfFile, f.NS, f.Name} }

// String is "red: file /etc/hosts (3 lines)".
func (f File) String() string {
	return display.In(f.NS) + "file /etc/" + f.Name + " (" + strconv.Itoa(strings.Count(f.Content, "\n")) + " lines)"
}

func (f File) needs() []Key          { return []Key{{OfNamespace, f.NS, ""}} }
func (f File) provides() []Key       { return []Key{f.Key()} }
func (f File) canBecome(Object) bool { return true }
func (f File) normal() Object        { return f }

func (f File) commands(w *scriptWriter, s Step) []command {
	file := netnsFile(w.refOf(f.NS), f.Name)
	path, dir := shellWord(file), shellWord(filepath.Dir(file))
	if s.Want == nil {
		return []command{{text: "rm -f " + path}, {text: "[ ! -k " + dir + " ] || rmdir --ignore-fail-on-non-empty " + dir}}
	}
	return []command{
		{text: "[ -d " + dir + " ] || mkdir -p -m 1755 " + dir}, // with the sticky bit: vnet may remove it
		{text: hereDoc("cat > "+path, mark.FileMark(w.lab)+f.Content)},
	}
}
