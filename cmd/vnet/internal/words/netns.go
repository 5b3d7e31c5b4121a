package words

import (
	"slices"
	"strconv"
	"strings"
)

// A NetnsCommand is what follows "netns".
type NetnsCommand struct {
	// Verb is list, list-id, add, attach, set, delete, identify, pids, exec,
	// monitor or help.
	Verb string
	// Name is the namespace's; "" where none is needed.
	Name string
	// PID is the process that attach and identify are about; 0 is this one.
	PID int
	// NSID is the number that set gives and list-id looks for; -1 is any.
	NSID int
	// Target is the number of the namespace whose numbers list-id lists; -1 is
	// the current one.
	Target int
	// Argv is the program that exec runs.
	Argv []string
}

// netnsVerbs are in the order in which ip(8) tries them, which decides what an
// abbreviation means.
var netnsVerbs = []string{
	"list", "show", "lst", "list-id", "help", "add", "set", "delete",
	"identify", "pids", "exec", "monitor", "attach",
}

// NetnsVerbs are what can be done with namespaces.
func NetnsVerbs() []string {
	return []string{"list", "add", "del", "exec", "identify", "pids", "attach", "set", "monitor", "list-id", "help"}
}

// Netns reads what follows "netns". With all, exec and delete need no name.
func (w *Words) Netns(all bool) NetnsCommand {
	c := NetnsCommand{NSID: -1, Target: -1}
	c.Verb = w.netnsVerb()
	if w.More() && !all && !validNetns(w.Peek()) && w.Err == nil {
		w.Fail("%q is not a name for a network namespace", w.Peek())
	}
	if read := netnsReaders[c.Verb]; read != nil && w.Err == nil {
		read(&c, w, all)
	}
	return c
}

func (w *Words) netnsVerb() string {
	if !w.More() {
		return "list"
	}
	word := w.Next()
	at := slices.IndexFunc(netnsVerbs, func(v string) bool { return Short(word, v) })
	switch {
	case at < 0:
		w.Err = Unknown("netns command", word, NetnsVerbs())
		return ""
	case netnsVerbs[at] == "show" || netnsVerbs[at] == "lst":
		return "list"
	}
	return netnsVerbs[at]
}

// validNetns is ip(8)'s rule; nsfs is stricter where a name is given.
func validNetns(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.Contains(name, "/")
}

// netnsReaders read what follows a verb.
var netnsReaders = map[string]func(*NetnsCommand, *Words, bool){
	"list-id":  func(c *NetnsCommand, w *Words, _ bool) { c.readListID(w) },
	"add":      func(c *NetnsCommand, w *Words, _ bool) { c.Name = w.must("no name for the namespace") },
	"delete":   (*NetnsCommand).readDelete,
	"set":      func(c *NetnsCommand, w *Words, _ bool) { c.readSet(w) },
	"attach":   func(c *NetnsCommand, w *Words, _ bool) { c.readAttach(w) },
	"identify": func(c *NetnsCommand, w *Words, _ bool) { c.readIdentify(w) },
	"pids": func(c *NetnsCommand, w *Words, _ bool) {
		c.Name = w.must("no namespace to look into")
		w.noMore()
	},
	"exec": (*NetnsCommand).readExec,
}

// must takes a word without which the command means nothing; ip(8) exits with 1.
func (w *Words) must(missing string) string {
	if !w.More() && w.Err == nil {
		w.Err = &Error{Text: missing, Hint: "vnet netns help", Status: 1}
	}
	return w.Next()
}

// noMore refuses further words; ip(8) exits with 1.
func (w *Words) noMore() {
	if w.More() {
		w.Err = &Error{Text: "nothing more is expected, but " + quote(w.Peek()), Status: 1}
	}
}

func (c *NetnsCommand) readDelete(w *Words, all bool) {
	if !all {
		c.Name = w.must("no namespace to delete")
	}
}

func (c *NetnsCommand) readSet(w *Words) {
	c.Name = w.must("no namespace to give a number to")
	word := w.must("no number to give")
	if n, ok := Number(word, 1<<31-1); ok {
		c.NSID = int(n)
	} else if word != "auto" {
		w.FailHint("it is auto or a number", "%q is not a number for a namespace", word)
	}
}

func (c *NetnsCommand) readAttach(w *Words) {
	c.Name = w.must("no name for the namespace, and no process")
	c.PID = w.pid(w.must("no process whose namespace to name"))
}

func (c *NetnsCommand) readIdentify(w *Words) {
	if w.More() {
		c.PID = w.pid(w.Next())
	}
	w.noMore()
}

// pid reads the number of a process.
func (w *Words) pid(word string) int {
	n, ok := Number(word, 1<<31-1)
	if (!ok || n == 0) && w.Err == nil {
		w.Err = &Error{Text: quote(word) + " is not a process id", Status: 1}
	}
	return int(n)
}

func (c *NetnsCommand) readListID(w *Words) {
	for w.More() {
		switch word := w.Next(); word {
		case "target-nsid":
			c.Target = int(w.number(word, 1<<31-1))
		case "nsid":
			c.NSID = int(w.number(word, 1<<31-1))
		default:
			w.Err = Unknown("word", word, []string{"target-nsid", "nsid"})
		}
	}
}

func (c *NetnsCommand) readExec(w *Words, all bool) {
	if !all {
		c.Name = w.must("no namespace to run a program in")
	}
	if !w.More() && w.Err == nil {
		w.must("no program to run")
	}
	c.Argv = w.Rest()
}

func quote(word string) string { return strconv.Quote(word) }
