package topo

import (
	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
)

// A Process is a shell command that runs in a namespace from up until down. If
// the command has ended with success, the object still exists; if it has failed, it does not.
type Process struct {
	NS      string
	Command string // what sh -c runs
}

// Key implements [Object].
func (p Process) Key() Key { return Key{OfProcess, p.NS, p.Command} }

// String is "red: run python3 -m http.server 80".
func (p Process) String() string { return display.In(p.NS) + "run " + display.OneLine(p.Command) }

func (p Process) needs() []Key          { return []Key{{OfNamespace, p.NS, ""}} }
func (p Process) provides() []Key       { return []Key{p.Key()} }
func (p Process) canBecome(Object) bool { return false }
func (p Process) normal() Object        { return p }

func (p Process) commands(w *scriptWriter, s Step) []command {
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
