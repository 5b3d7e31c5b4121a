package topo

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
)

// Commands returns a shell script that does the same as the plan, with ip, bridge, tc,
// nft and sysctl. It sets the marks and records too, so vnet can take the lab down. have
// is the state before the plan.
func (p Plan) Commands(lab string, have State, nat NATScript) (string, error) {
	w := scriptWriter{lab: lab, state: NewState(), initial: have, natScript: nat}
	w.ipv6Modes = p.IPv6Modes(have, p.Applied(have))
	for _, o := range have {
		w.state.Put(o)
	}
	w.line("#!/bin/sh")
	w.line("# Lab " + lab + ": " + p.summary() + ".")
	w.line("set -e")
	for _, o := range have.Objects() {
		if n, ok := o.(Namespace); ok && needsName(n) {
			w.line("[ -e " + shellWord("/run/netns/"+n.Name) + " ] || { " + nameCommand(n) + "; }")
		}
	}
	sameKind := func(a, b Step) bool { return a.Op() == b.Op() && a.Object().Key().Kind == b.Object().Key().Kind }
	for _, stage := range p.runs(sameKind) {
		if err := w.stage(stage); err != nil {
			return "", err
		}
	}
	return w.out.String(), nil
}

func (p Plan) summary() string {
	created, changed, deleted := p.Count()
	return fmt.Sprintf("%d to create, %d to change, %d to delete", created, changed, deleted)
}

// A scriptWriter writes the commands of a plan.
type scriptWriter struct {
	out       strings.Builder
	lab       string
	state     State // at this point of the script
	initial   State // before the script
	ipv6Modes map[Key]IPv6Mode
	natScript NATScript
	natSteps  []Step    // of this stage, not yet written
	batch     []command // of one tool and namespace, not yet written
}

// A command is one line of the script.
type command struct {
	ns   string
	tool string // ip, bridge or tc, which have -n; "" means that text is the whole line
	text string
}

// line returns the command for a shell, after the tool. Names from the kernel may contain
// characters that are special to a shell, but no white space.
func (c command) line(tool string) string {
	if c.tool == "" {
		return c.text
	}
	words := strings.Fields(c.text)
	for i := range words {
		words[i] = shellWord(words[i])
	}
	return tool + strings.Join(words, " ")
}

func (w *scriptWriter) line(s string) { w.out.WriteString(s + "\n") }

func (w *scriptWriter) stage(stage Plan) error {
	w.line("\n# " + kinds[stage[0].Object().Key().Kind].heading + ": " + stage[0].Op().Name())
	defer w.advance(stage)
	for _, s := range stage {
		if s.Op() == Create {
			w.state.Put(s.Want)
		}
		for _, c := range w.commands(s) {
			w.put(c)
		}
	}
	w.flush()
	return w.writeNAT()
}

func (w *scriptWriter) advance(stage Plan) {
	for _, s := range stage {
		if s.Want == nil {
			delete(w.state, s.Have.Key())
		} else {
			w.state.Put(s.Want)
		}
	}
}

// minBatch is the smallest number of commands of one namespace that are written as one
// ip -batch. Starting a process takes as long as a hundred commands of a batch.
const minBatch = 4

func (w *scriptWriter) put(c command) {
	if len(w.batch) > 0 && (w.batch[0].ns != c.ns || w.batch[0].tool != c.tool) {
		w.flush()
	}
	w.batch = append(w.batch, c)
}

func (w *scriptWriter) flush() {
	batch := w.batch
	w.batch = nil
	if len(batch) == 0 {
		return
	}
	tool := batch[0].tool
	if tool == "" || len(batch) < minBatch {
		for _, c := range batch {
			w.line(c.line(w.tool(c.tool, c.ns)))
		}
		return
	}
	w.line(w.tool(tool, batch[0].ns) + "-batch - <<'.'")
	for _, c := range batch {
		w.line(c.text)
	}
	w.line(".")
}

// tool returns a tool with its option for a namespace.
func (w *scriptWriter) tool(tool, ns string) string {
	switch {
	case tool == "":
		return ""
	case ns == "":
		return tool + " "
	}
	return tool + " -n " + shellWord(w.refOf(ns)) + " "
}

// refOf returns the name of a namespace in /run/netns.
func (w *scriptWriter) refOf(ns string) string {
	n, _ := w.state[Key{OfNamespace, ns, ""}].(Namespace)
	return cmp.Or(n.Ref(), ns)
}

// netnsExec returns a line that runs a command in a namespace.
func (w *scriptWriter) netnsExec(ns, text string) command {
	if ns != "" {
		text = "ip netns exec " + shellWord(w.refOf(ns)) + " " + text
	}
	return command{text: text}
}

// shellWord quotes a word if it has characters that are special to a shell.
func shellWord(s string) string {
	plain := s != ""
	for _, r := range s {
		if !strings.ContainsRune("+,-./:=@_", r) && (r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z') {
			plain = false
		}
	}
	if plain {
		return s
	}
	if display.Escape(s) != s && !strings.HasSuffix(s, "\n") {
		return printfWord(s)
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printfWord returns a word of sh(1) whose value is s. The word has no control characters,
// because a script may be shown on a terminal. s must not end with a newline: the shell
// would remove it.
func printfWord(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\'':
			b.WriteString(`'\''`)
		case c == '%' || c == '\\':
			b.WriteString(map[byte]string{'%': "%%", '\\': `\\`}[c])
		case c < ' ' || c > '~' || c == '-' && i == 0: // printf would read an option
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"$(printf '` + b.String() + `')"`
}

// hereDoc returns a command with text as its standard input.
func hereDoc(cmd, text string) string {
	end := "."
	for strings.Contains("\n"+text, "\n"+end+"\n") {
		end += "."
	}
	return cmd + " <<'" + end + "'\n" + text + end
}

func netnsFile(ns, name string) string { return filepath.Join("/etc/netns", ns, name) }

// commands returns the commands of a step.
func (w *scriptWriter) commands(s Step) []command {
	if link, ok := s.Object().(LinkObject); ok && s.Want == nil {
		k := link.Key()
		return []command{{k.NS, "ip", "link del dev " + k.Name}}
	}
	return append(s.Object().commands(w, s), w.ipv6Commands(s)...)
}

// ipv6Commands returns the commands that write the IPv6 settings of links.
func (w *scriptWriter) ipv6Commands(s Step) (cmds []command) {
	for _, l := range s.IPv6Settings(w.ipv6Modes, w.isShared) {
		cmds = append(cmds, w.ipv6SettingsCommand(l))
	}
	return cmds
}

// isShared reports whether a namespace is not the lab's own.
func (w *scriptWriter) isShared(ns string) bool {
	n, _ := w.state[Key{OfNamespace, ns, ""}].(Namespace)
	return ns == "" || n.From != ""
}

func (w *scriptWriter) ipv6SettingsCommand(l LinkSettings) command {
	text := "sysctl -eqw"
	for _, set := range l.Settings {
		if name, _, hasValue := strings.Cut(set, "="); !hasValue {
			read := w.netnsExec(l.Link.NS, "sysctl -n "+linux.LinkSysctl("ipv6", "default", name)).text
			text += " " + shellWord(linux.LinkSysctl("ipv6", l.Link.Name, name+"=")) + "$(" + read + ")"
			continue
		}
		text += " " + shellWord(linux.LinkSysctl("ipv6", l.Link.Name, set))
	}
	if l.Optional {
		text += " || :"
	}
	return w.netnsExec(l.Link.NS, text)
}

func ipVerb(s Step) string {
	return map[Op]string{Create: "add", Change: "replace", Delete: "del"}[s.Op()]
}
