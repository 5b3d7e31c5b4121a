package words

import (
	"slices"
	"strings"
)

// Habit returns the command that a wrong one probably means: it takes away ip in front, adds a missing keyword, or
// replaces words of route(8) and iptables(8) by those of ip(8). It returns nil if it recognizes nothing.
func Habit(args []string) []string {
	if len(args) < 2 {
		return nil
	}
	if verb, ok := otherVerbs[args[1]]; ok {
		return slices.Concat(args[:1], []string{verb}, args[2:])
	}
	switch object := args[0]; {
	case object == "ip":
		return args[1:]
	case slices.Contains(args, "gw"):
		return gatewayHabit(args)
	case Short(object, "address"):
		return addrHabit(args)
	case Short(object, "link"):
		return linkHabit(args)
	case object == "nat":
		return natHabit(args)
	case Short(object, "netns") && len(args) > 2 && args[2] == "exec":
		return slices.Concat(args[:1], []string{"exec", args[1]}, args[3:])
	}
	return nil
}

// otherVerbs are verbs of other programs, and what ip(8) calls them.
var otherVerbs = map[string]string{"create": "add", "new": "add", "remove": "del", "rm": "del"}

// gatewayHabit rewrites a route of route(8): [route] [add|del] [-net|-host] DESTINATION gw ADDRESS …
func gatewayHabit(args []string) []string {
	words := slices.DeleteFunc(slices.Clone(args), func(w string) bool { return w == "-net" || w == "-host" })
	if Short(words[0], "route") {
		words = words[1:]
	}
	verb := "add"
	if len(words) > 0 && (words[0] == "add" || words[0] == "del") {
		verb, words = words[0], words[1:]
	}
	if len(words) < 3 || words[1] != "gw" {
		return nil
	}
	to := []string{"route", verb, words[0], "via", words[2]}
	if rest := words[3:]; len(rest) == 1 {
		return append(to, "dev", rest[0]) // as route(8) allows
	}
	return append(to, words[3:]...)
}

// addrHabit adds dev in front of the link: addr add ADDRESS LINK.
func addrHabit(args []string) []string {
	if len(args) != 4 || !strings.ContainsAny(args[2], ".:") || strings.ContainsAny(args[3], "./:") {
		return nil
	}
	return slices.Insert(slices.Clone(args), 3, "dev")
}

// linkHabit adds type in front of a kind of link: link add NAME KIND; and set: link NAME up, link up NAME.
func linkHabit(args []string) []string {
	isVerb := slices.ContainsFunc(linkVerbs, func(v string) bool { return Short(args[1], v) })
	kind := slices.IndexFunc(args, func(w string) bool { return KindUsage(w) != "" })
	switch {
	case isVerb && args[1] == "add" && kind > 2 && !slices.Contains(args, "type"):
		return slices.Insert(slices.Clone(args), kind, "type")
	case isVerb || len(args) < 3:
		return nil
	case args[1] == "up", args[1] == "down":
		return slices.Concat(args[:1], []string{"set", args[2], args[1]}, args[3:])
	case slices.Contains([]string{"up", "down", "mtu", "address", "name", "netns", "master", "nomaster"}, args[2]):
		return slices.Insert(slices.Clone(args), 1, "set")
	}
	return nil
}

// natHabit adds the kind of a rule, which is iptables' target.
func natHabit(args []string) []string {
	if len(args) < 3 || args[1] != "add" && args[1] != "del" || !strings.HasPrefix(args[2], "-") {
		return nil
	}
	kind := "masquerade"
	switch {
	case slices.Contains(args, "--to-destination"):
		kind = "dnat"
	case slices.Contains(args, "--to-source"):
		kind = "snat"
	}
	return slices.Insert(slices.Clone(args), 2, kind)
}
