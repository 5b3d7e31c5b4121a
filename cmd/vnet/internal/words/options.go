package words

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Options are the options before the object: vnet [options] link show.
type Options struct {
	// Netns is the namespace to work in, by name or by path; "" is the current one.
	Netns string
	// Family selects addresses, routes and neighbours: unix.AF_INET, AF_INET6, AF_BRIDGE, AF_MPLS or AF_PACKET
	// (links); 0 is all.
	Family int
	// Batch is a file with commands; "-" is standard input, "" is none.
	Batch string
	// Force continues a batch after an error.
	Force bool
	// All selects all namespaces, for netns exec and netns delete.
	All bool

	JSON, Pretty, Brief, Oneline bool
	// Details and Stats count how often the option was given.
	Details, Stats int
	Human, IEC     bool
	Numeric        bool
	// Resolve, Timestamp and ShortTimestamp have no effect.
	Resolve, Timestamp, ShortTimestamp bool
	// Color is "never", "auto" or "always".
	Color string

	Version, Help bool
}

// An Option is one of ip(8)'s global options.
type Option struct {
	// Name is the whole name. An abbreviation means the first option in [OptionTable] that it fits.
	Name string
	// Exact is set if the name cannot be abbreviated.
	Exact bool
	// Value is the name of the option's value in the help; "" if the option has none.
	Value string
	// Usage is one line of help.
	Usage string
	set   func(*Options, string) error
}

// OptionTable holds the options in the order in which ip(8) matches abbreviations: -b is -batch, -br is -brief.
var OptionTable = []Option{
	{Name: "loops", Value: "COUNT", Usage: "ignored, for compatibility with ip(8)", set: ignore},
	{Name: "family", Value: "FAMILY", Usage: "address family: inet, inet6, bridge, mpls or link", set: setFamily},
	{Name: "4", Exact: true, Usage: "short for -family inet", set: family(unix.AF_INET)},
	{Name: "6", Exact: true, Usage: "short for -family inet6", set: family(unix.AF_INET6)},
	{Name: "0", Exact: true, Usage: "short for -family link", set: family(unix.AF_PACKET)},
	{Name: "M", Exact: true, Usage: "short for -family mpls", set: family(unix.AF_MPLS)},
	{Name: "B", Exact: true, Usage: "short for -family bridge", set: family(unix.AF_BRIDGE)},
	{Name: "human-readable", Usage: "counters with units", set: flag(func(o *Options) { o.Human = true })},
	{Name: "iec", Usage: "with -human-readable: units of 1024", set: flag(func(o *Options) { o.IEC = true })},
	{Name: "stats", Usage: "show counters; twice for more", set: flag(func(o *Options) { o.Stats++ })},
	{Name: "statistics", Usage: "the same as -stats", set: flag(func(o *Options) { o.Stats++ })},
	{Name: "details", Usage: "show all details", set: flag(func(o *Options) { o.Details++ })},
	{Name: "resolve", Usage: "ignored, for compatibility with ip(8)", set: flag(func(o *Options) { o.Resolve = true })},
	{Name: "oneline", Usage: "one line for each object", set: flag(func(o *Options) { o.Oneline = true })},
	{Name: "timestamp", Usage: "ignored, for compatibility with ip(8)",
		set: flag(func(o *Options) { o.Timestamp = true })},
	{Name: "tshort", Usage: "ignored, for compatibility with ip(8)",
		set: flag(func(o *Options) { o.Timestamp, o.ShortTimestamp = true, true })},
	{Name: "Version", Usage: "print the version", set: flag(func(o *Options) { o.Version = true })},
	{Name: "version", Exact: true, Usage: "the same as -Version", set: flag(func(o *Options) { o.Version = true })},
	{Name: "force", Usage: "continue a batch after an error", set: flag(func(o *Options) { o.Force = true })},
	{Name: "batch", Value: "FILE", Usage: "run each line of FILE; - is standard input",
		set: func(o *Options, v string) error { o.Batch = v; return nil }},
	{Name: "brief", Usage: "a short table", set: flag(func(o *Options) { o.Brief = true })},
	{Name: "json", Usage: "JSON, as ip(8) prints it", set: flag(func(o *Options) { o.JSON = true })},
	{Name: "pretty", Usage: "JSON over several lines", set: flag(func(o *Options) { o.Pretty = true })},
	{Name: "rcvbuf", Value: "BYTES", Usage: "ignored, for compatibility with ip(8)", set: number},
	{Name: "color", Usage: "colours: -color=always, auto or never", set: flag(func(o *Options) { o.Color = "always" })},
	{Name: "help", Usage: "print help", set: flag(func(o *Options) { o.Help = true })},
	{Name: "netns", Value: "NAME", Usage: "work inside the namespace NAME",
		set: func(o *Options, v string) error { o.Netns = v; return nil }},
	{Name: "Numeric", Usage: "numbers instead of names", set: flag(func(o *Options) { o.Numeric = true })},
	{Name: "all", Usage: "every namespace, for netns exec and delete", set: flag(func(o *Options) { o.All = true })},
	{Name: "echo", Usage: "ignored, for compatibility with ip(8)", set: flag(func(*Options) {})},
}

func flag(set func(*Options)) func(*Options, string) error {
	return func(o *Options, _ string) error { set(o); return nil }
}

func family(af int) func(*Options, string) error {
	return flag(func(o *Options) { o.Family = af })
}

func ignore(*Options, string) error { return nil }

func number(_ *Options, value string) error {
	if _, err := strconv.ParseUint(value, 0, 32); err != nil {
		return Errorf("%q is not a number", value)
	}
	return nil
}

func setFamily(o *Options, value string) error {
	families := map[string]int{
		"inet": unix.AF_INET, "inet6": unix.AF_INET6, "link": unix.AF_PACKET,
		"mpls": unix.AF_MPLS, "bridge": unix.AF_BRIDGE,
	}
	af, ok := families[value]
	if !ok {
		return Unknown("family", value, []string{"inet", "inet6", "link", "mpls", "bridge"})
	}
	o.Family = af
	return nil
}

// ParseOptions parses the options at the beginning of a command line and returns the rest. Options begin with one dash
// or two; "--" ends them.
func ParseOptions(args []string) (Options, []string, error) {
	o := Options{Color: "never"}
	w := Of(args)
	for w.More() && len(w.Peek()) > 1 && w.Peek()[0] == '-' {
		word := w.Next()
		if word == "--" {
			break
		}
		if err := o.take(word, w); err != nil {
			return o, nil, err
		}
	}
	return o, w.Rest(), w.Err
}

func (o *Options) take(word string, w *Words) error {
	name := word[1:]
	if name[0] == '-' {
		name = name[1:]
	}
	if mode, ok := colorMode(name); ok {
		o.Color = mode
		return nil
	}
	for _, opt := range OptionTable {
		if name != opt.Name && (opt.Exact || !Short(name, opt.Name)) {
			continue
		}
		var value string
		if opt.Value != "" {
			value = w.Value(word)
		}
		if w.Err != nil {
			return w.Err
		}
		return opt.set(o, value)
	}
	names := make([]string, len(OptionTable))
	for i, opt := range OptionTable {
		names[i] = "-" + opt.Name
	}
	return Unknown("option", word, names)
}

// colorMode parses -color=MODE.
func colorMode(name string) (mode string, ok bool) {
	for _, m := range []string{"always", "auto", "never"} {
		for _, short := range []string{"c", "co", "col", "colo", "color"} {
			if name == short+"="+m {
				return m, true
			}
		}
	}
	return "", false
}
