package main

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live"
)

// completeFlag is the last argument when a shell asks for completions of the word before it. urfave/cli uses the
// same flag.
const completeFlag = "--generate-bash-completion"

//go:embed completion
var completions embed.FS

// shells lists the shells that have a completion script.
var shells = []string{"bash", "fish", "zsh"}

func completionObject() *object {
	return &object{
		name: "completion", usage: "print a shell's completion for namespaces, links, labs and hosts", verbs: shells,
		help: `
vnet completion { bash | zsh | fish }

In bash or zsh:

    source <(vnet completion bash)

In fish:

    vnet completion fish | source
`,
		run: (*session).completion,
	}
}

// completion prints the script that makes a shell ask vnet for completions.
func (s *session) completion(args []string) error {
	if len(args) == 1 && args[0] == "help" {
		return s.objectHelp(completionObject())
	}
	if len(args) != 1 || !slices.Contains(shells, args[0]) {
		return words.Errorf("completion needs the name of a shell: %s", strings.Join(shells, ", "))
	}
	script, err := fs.ReadFile(completions, "completion/vnet."+args[0])
	if err == nil {
		_, err = s.out.Write(script)
	}
	return err
}

// complete prints the candidates for the last word, one per line. It reports no errors: if the names of some objects
// cannot be read, it prints the other candidates.
func (s *session) complete(args []string) error {
	if len(args) == 0 {
		args = []string{""}
	}
	before, word := args[:len(args)-1], args[len(args)-1]
	for _, c := range s.candidates(before, word) {
		if strings.HasPrefix(c, word) && show.Name(c) == c { // no control characters for the shell
			fmt.Fprintln(s.out, c)
		}
	}
	return nil
}

// candidates returns the words that can follow the words before.
func (s *session) candidates(before []string, word string) []string {
	if n := len(before); n > 0 {
		if values, ok := optionValues(before); ok {
			return values
		}
		if before[n-1] == "" {
			return nil
		}
	}
	opts, rest, err := words.ParseOptions(before)
	if err != nil {
		return nil
	}
	s.Options = opts
	if len(rest) > 0 {
		return s.afterObject(rest, word)
	}
	if strings.HasPrefix(word, "-") {
		return optionNames()
	}
	names := []string{"help"}
	for _, o := range objects() {
		names = append(names, o.name)
	}
	return names
}

// optionValues returns the values of the last option. ok is true only if all words are options and the last one needs
// a value.
func optionValues(before []string) (values []string, ok bool) {
	if _, _, err := words.ParseOptions(before); err == nil {
		return nil, false
	}
	_, rest, err := words.ParseOptions(append(slices.Clone(before), "inet"))
	if err != nil || len(rest) > 0 {
		return nil, false
	}
	switch name := strings.TrimLeft(before[len(before)-1], "-"); {
	case words.Short(name, "netns"):
		return namespaces(), true
	case words.Short(name, "family"):
		return []string{"inet", "inet6", "link", "bridge", "mpls"}, true
	}
	return nil, true
}

func optionNames() (names []string) {
	for _, o := range words.OptionTable {
		names = append(names, "-"+o.Name)
	}
	return names
}

// afterObject returns the candidates after an object and the words in rest.
func (s *session) afterObject(rest []string, word string) []string {
	if rest[0] == "help" {
		names := []string{"cheatsheet"}
		for _, o := range objects() {
			names = append(names, o.name)
		}
		return names
	}
	for _, o := range objects() {
		if rest[0] != o.name && (!o.short || !words.Short(rest[0], o.name)) {
			continue
		}
		switch {
		case o.lab != nil:
			return o.lab.candidates(word)
		case o.name == "exec" || o.name == "shell":
			return hostsToComplete(rest[1:])
		case len(rest) == 1:
			return o.verbs
		}
		return s.afterVerb(o.name, rest[1:])
	}
	return nil
}

// afterVerb returns the candidates for a command in ip(8)'s syntax.
func (s *session) afterVerb(object string, rest []string) []string {
	last := rest[len(rest)-1]
	switch {
	case object == "netns" && len(rest) == 1 || last == "netns":
		return namespaces()
	case slices.Contains([]string{"dev", "master", "vrf", "oif", "iif", "-i", "-o"}, last):
		return s.links()
	case last == "type" && object == "link":
		return linkKinds
	case object == "link" && len(rest) == 1 && !words.Short(last, "add"), last == "link":
		return append(s.links(), completionWords[object]...)
	}
	return completionWords[object]
}

// completionWords are the most common keywords of each object.
var completionWords = map[string][]string{
	"link": {"address", "alias", "altname", "dev", "down", "group", "link", "master", "mtu", "name", "netns",
		"nomaster", "peer", "type", "up"},
	"address": {"broadcast", "dev", "label", "metric", "nodad", "peer", "preferred_lft", "scope", "to", "up",
		"valid_lft"},
	"route": {"advmss", "blackhole", "default", "dev", "from", "metric", "mtu", "nexthop", "nhid", "onlink",
		"prohibit", "proto", "root", "scope", "src", "table", "unreachable", "via", "vrf", "weight"},
	"rule": {"dport", "from", "fwmark", "goto", "iif", "ipproto", "l3mdev", "lookup", "not", "oif", "pref", "prohibit",
		"sport", "suppress_prefixlength", "table", "to", "tos", "uidrange", "unreachable"},
	"neighbor":  {"dev", "lladdr", "nud", "proxy", "router", "to"},
	"neighbour": {"dev", "lladdr", "nud", "proxy", "router", "to"},
	"nat": {"masquerade", "dnat", "snat", "-s", "-o", "-p", "-d", "-i", "--dport", "--to-destination",
		"--to-source"},
}

// candidates returns the options of a lab command, or the labs that are up. The shell adds the files.
func (c *labCommand) candidates(word string) []string {
	var names []string
	for _, f := range c.flags {
		names = append(names, "--"+f.Names()[0])
	}
	if strings.HasPrefix(word, "-") {
		return names
	}
	labs, _ := live.Labs()
	return labs
}

// hostsToComplete returns the machine and the hosts of all labs, each as HOST and as LAB/HOST.
func hostsToComplete(behind []string) []string {
	if len(behind) > 0 {
		return nil
	}
	labs, _ := live.Labs()
	names := append(namespaces(), topo.Machine)
	for _, lab := range labs {
		o, err := live.Observe(lab)
		if err != nil {
			continue
		}
		hosts, _ := o.Hosts()
		o.Close()
		for _, h := range hosts {
			names = append(names, lab+"/"+h)
		}
	}
	return names
}

func namespaces() (names []string) {
	entries, _ := nsfs.List()
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

func (s *session) links() (names []string) {
	c, err := s.rtnl()
	if err != nil {
		return nil
	}
	links, _ := c.Links(rtnl.LinkFilter{NoStats: true})
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}
