package words

import (
	"slices"
	"strconv"
	"strings"
)

// A NetnsCommand is the command after "netns".
type NetnsCommand struct {
	// Verb is list, list-id, add, attach, set, delete, identify, pids, exec,
	// monitor or help.
	Verb string
	// Name is the namespace's name; "" if the command has none.
	Name string
	// PID is the process for attach and identify; 0 is this process.
	PID int
	// NSID is the id that set assigns and list-id selects; -1 means auto for set and any for list-id.
	NSID int
	// Target is the id of the namespace whose ids list-id lists; -1 is the current one.
	Target int
	// Argv is the program that exec runs, with its arguments.
	Argv []string
}

// netnsVerbs are in the order in which ip(8) matches abbreviations.
var netnsVerbs = []string{
	"list", "show", "lst", "list-id", "help", "add", "set", "delete",
	"identify", "pids", "exec", "monitor", "attach",
}

// NetnsVerbs returns the commands for namespaces.
func NetnsVerbs() []string {
	return []string{"list", "add", "del", "exec", "identify", "pids", "attach", "set", "monitor", "list-id", "help"}
}

// Netns parses the words after "netns". With all, exec and delete take no name.
func (w *Words) Netns(all bool) NetnsCommand {
	c := NetnsCommand{NSID: -1, Target: -1}
	c.Verb = w.netnsVerb()
	if w.More() && !all && !validNetns(w.Peek()) && w.Err == nil {
		w.Fail("%q is not a valid name for a network namespace", w.Peek())
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

// validNetns is ip(8)'s rule for names. nsfs is stricter for new names.
func validNetns(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.Contains(name, "/")
}

// netnsReaders parse the words after each verb.
var netnsReaders = map[string]func(*NetnsCommand, *Words, bool){
	"list-id":  func(c *NetnsCommand, w *Words, _ bool) { c.readListID(w) },
	"add":      func(c *NetnsCommand, w *Words, _ bool) { c.Name = w.required("the name of the namespace is missing") },
	"delete":   (*NetnsCommand).readDelete,
	"set":      func(c *NetnsCommand, w *Words, _ bool) { c.readSet(w) },
	"attach":   func(c *NetnsCommand, w *Words, _ bool) { c.readAttach(w) },
	"identify": func(c *NetnsCommand, w *Words, _ bool) { c.readIdentify(w) },
	"pids": func(c *NetnsCommand, w *Words, _ bool) {
		c.Name = w.required("the name of the namespace is missing")
		w.noMore()
	},
	"exec": (*NetnsCommand).readExec,
}

// required takes a required word. As with ip(8), the exit code is 1 if it is missing.
func (w *Words) required(missing string) string {
	if !w.More() && w.Err == nil {
		w.Err = &Error{Text: missing, Hint: "vnet netns help", Status: 1}
	}
	return w.Next()
}

// noMore returns an error if a word is left. As with ip(8), the exit code is 1.
func (w *Words) noMore() {
	if w.More() {
		w.Err = &Error{Text: "unexpected argument " + quote(w.Peek()), Status: 1}
	}
}

func (c *NetnsCommand) readDelete(w *Words, all bool) {
	if !all {
		c.Name = w.required("the name of the namespace is missing")
	}
}

func (c *NetnsCommand) readSet(w *Words) {
	c.Name = w.required("the name of the namespace is missing")
	word := w.required("the id is missing")
	if n, ok := Number(word, 1<<31-1); ok {
		c.NSID = int(n)
	} else if word != "auto" {
		w.FailHint("the id is auto or a number", "%q is not a valid id for a namespace", word)
	}
}

func (c *NetnsCommand) readAttach(w *Words) {
	c.Name = w.required("the name and the process id are missing")
	c.PID = w.pid(w.required("the process id is missing"))
}

func (c *NetnsCommand) readIdentify(w *Words) {
	if w.More() {
		c.PID = w.pid(w.Next())
	}
	w.noMore()
}

// pid parses a process id.
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
		c.Name = w.required("the name of the namespace is missing")
	}
	if !w.More() && w.Err == nil {
		w.required("the program is missing")
	}
	c.Argv = w.Rest()
}

func quote(word string) string { return strconv.Quote(word) }
