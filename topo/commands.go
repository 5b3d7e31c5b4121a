package topo

import (
	"fmt"
	"path/filepath"
	"strings"
)

// RuleTable is the nftables table of a lab in each namespace.
func RuleTable(lab string) string { return "vnet_" + lab }

// RuleScript prints what changes a table's rules, for nft -f: del goes, add comes,
// both of them Masquerade, SourceNAT, Forward, Isolation or Fastpath.
type RuleScript func(table string, have, want []Object) (string, error)

// Commands prints a shell script that does what the plan does with the real ip,
// bridge, tc, nft and sysctl, marks included: what it made, vnet finds, and takes
// down. have is the state that the plan starts from.
func (p Plan) Commands(lab string, have State, rules RuleScript) (string, error) {
	w := scriptWriter{lab: lab, state: NewState(), had: have, voices: p.voices(have, p.applied(have)), rules: rules}
	for _, o := range have {
		w.state.put(o)
	}
	w.line("#!/bin/sh")
	w.line("# Lab " + lab + ": " + p.summary() + ".")
	w.line("set -e")
	for _, o := range have.Objects() {
		if n, ok := o.(Namespace); ok && nameless(n) {
			w.line("[ -e " + shellWord("/run/netns/"+n.Name) + " ] || { " + nameIt(n) + "; }")
		}
	}
	ofAKind := func(a, b Step) bool { return a.Op() == b.Op() && a.Object().Key().Kind == b.Object().Key().Kind }
	for _, stage := range p.runs(ofAKind) {
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

// A scriptWriter writes commands in the order of a plan.
type scriptWriter struct {
	out    strings.Builder
	lab    string
	state  State // as it is at this place of the script
	had    State // as it was at the beginning
	voices map[Key]voice
	rules  RuleScript
	batch  []command // ip's, of one namespace, not yet written
}

// A command is one line of the script.
type command struct {
	ns   string
	tool string // ip, bridge, tc: they know -n; else text is all of the line
	text string
}

// line is the command for a shell, behind the tool. Names that the kernel has may
// hold what a shell would carry out; white space they cannot have.
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

var headings = map[Kind]string{
	OfNamespace: "namespaces", OfLink: "links", OfPort: "ports", OfBridgeVLAN: "VLANs of ports",
	OfQdisc: "impairments", OfOffload: "checksums", OfSysctl: "settings", OfNAT: "NAT and isolation", OfQuiet: "silence", OfUp: "up and down",
	OfAddress: "addresses", OfNeigh: "neighbours", OfRoute: "routes", OfFile: "files", OfProcess: "programs",
}

func (w *scriptWriter) stage(stage Plan) error {
	w.line("\n# " + headings[stage[0].Object().Key().Kind] + ": " + opNames[stage[0].Op()])
	defer w.advance(stage)
	if stage[0].Object().Key().Kind == OfNAT {
		return w.ruleStage(stage)
	}
	for _, s := range stage {
		if s.Op() == Create {
			w.state.put(s.Want)
		}
		for _, c := range w.commands(s) {
			w.put(c)
		}
	}
	w.flush()
	return nil
}

func (w *scriptWriter) advance(stage Plan) {
	for _, s := range stage {
		if s.Want == nil {
			delete(w.state, s.Have.Key())
		} else {
			w.state.put(s.Want)
		}
	}
}

// worthBatch is how many commands of one namespace are worth an ip -batch: a
// process takes as long as a hundred of them.
const worthBatch = 4

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
	if tool == "" || len(batch) < worthBatch {
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

// tool is a tool and its option for a namespace.
func (w *scriptWriter) tool(tool, ns string) string {
	switch {
	case tool == "":
		return ""
	case ns == "":
		return tool + " "
	}
	return tool + " -n " + shellWord(w.refOf(ns)) + " "
}

// refOf is the name in /run/netns that a namespace is reached by.
func (w *scriptWriter) refOf(ns string) string {
	n, _ := w.state[Key{OfNamespace, ns, ""}].(Namespace)
	return or(n.ref(), ns)
}

// nameless tells of a namespace taken in that has no name for ip to know it by.
func nameless(n Namespace) bool { return n.ref() == "" }

// nameIt is what gives it one.
func nameIt(n Namespace) string {
	if n.hasPid() {
		return "ip netns attach " + shellWord(n.Name) + " " + n.From
	}
	file := shellWord("/run/netns/" + n.Name)
	return "mkdir -p /run/netns && touch " + file + " && mount --bind " + shellWord(n.From) + " " + file
}

// inside is a line that runs a command in a namespace.
func (w *scriptWriter) inside(ns, text string) command {
	if ns != "" {
		text = "ip netns exec " + shellWord(w.refOf(ns)) + " " + text
	}
	return command{text: text}
}

func (w *scriptWriter) ruleStage(stage Plan) error {
	var order []string
	del, add := map[string][]Object{}, map[string][]Object{}
	seen := map[string]bool{}
	for _, s := range stage {
		ns := s.Object().Key().NS
		if !seen[ns] {
			seen[ns], order = true, append(order, ns)
		}
		if s.Have != nil {
			del[ns] = append(del[ns], s.Have)
		}
		if s.Want != nil {
			add[ns] = append(add[ns], s.Want)
		}
	}
	for _, ns := range order {
		have := w.rulesOf(ns)
		want := replaced(have, del[ns], add[ns])
		text, err := w.rules(RuleTable(w.lab), have, want)
		if err != nil {
			return err
		}
		w.line(w.inside(ns, "nft -f - <<'.'").text)
		w.out.WriteString(text)
		w.line(".")
	}
	return nil
}

// rulesOf are the rules of a namespace at this place of the script.
func (w *scriptWriter) rulesOf(ns string) (rules []Object) {
	for _, o := range w.state.Objects() {
		if k := o.Key(); k.Kind == OfNAT && k.NS == ns {
			rules = append(rules, o)
		}
	}
	return rules
}

func replaced(have, del, add []Object) (want []Object) {
	gone := make(map[Object]bool, len(del))
	for _, o := range del {
		gone[o] = true
	}
	for _, o := range have {
		if !gone[o] {
			want = append(want, o)
		}
	}
	return append(want, add...)
}

// shellWord quotes what a shell would take apart.
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
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// hereDoc is a line that feeds text to a command.
func hereDoc(cmd, text string) string {
	end := "."
	for strings.Contains("\n"+text, "\n"+end+"\n") {
		end += "."
	}
	return cmd + " <<'" + end + "'\n" + text + end
}

func netnsFile(ns, name string) string { return filepath.Join("/etc/netns", ns, name) }
