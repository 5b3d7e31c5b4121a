package words

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestParseOptions checks options in any order, with one dash or two, and abbreviated as in ip(8).
func TestParseOptions(t *testing.T) {
	plain := func(set func(*Options)) Options { o := Options{Color: "never"}; set(&o); return o }
	for _, tt := range []struct {
		lines string
		want  Options
	}{
		{"link\n-- link", plain(func(*Options) {})},
		{"-n red link\n-net red link\n-netns red link\n--netns red link", plain(func(o *Options) { o.Netns = "red" })},
		{"-4 link\n-f inet link\n-family inet link", plain(func(o *Options) { o.Family = unix.AF_INET })},
		{"-6 link\n--family inet6 link", plain(func(o *Options) { o.Family = unix.AF_INET6 })},
		{"-0 link\n-f link link", plain(func(o *Options) { o.Family = unix.AF_PACKET })},
		{"-j link\n-json link\n--js link", plain(func(o *Options) { o.JSON = true })},
		{"-j -p -d link\n-d -p -j link", plain(func(o *Options) { o.JSON, o.Pretty, o.Details = true, true, 1 })},
		{"-s -s link\n-stats -statistics link", plain(func(o *Options) { o.Stats = 2 })},
		{"-br link\n-brief link", plain(func(o *Options) { o.Brief = true })},
		{"-b - link\n-batch - link", plain(func(o *Options) { o.Batch = "-" })},
		{"-force -b file", plain(func(o *Options) { o.Force, o.Batch = true, "file" })},
		{"-o link\n-oneline link", plain(func(o *Options) { o.Oneline = true })},
		{"-a netns\n-all netns", plain(func(o *Options) { o.All = true })},
		{"-V", plain(func(o *Options) { o.Version = true })},
		{"-c link\n-color link\n-color=always link", plain(func(o *Options) { o.Color = "always" })},
		{"-c=auto link\n--col=auto link", plain(func(o *Options) { o.Color = "auto" })},
		{"-h link\n-human link", plain(func(o *Options) { o.Human = true })},
		{"-t link", plain(func(o *Options) { o.Timestamp = true })},
		{"-ts link", plain(func(o *Options) { o.Timestamp, o.ShortTimestamp = true, true })},
		{"-N link", plain(func(o *Options) { o.Numeric = true })},
		{"-l 5 -rc 1000 link", plain(func(*Options) {})},
		{"-l many link", plain(func(*Options) {})},
		{"-rc 4294967295 link", plain(func(*Options) {})},
		{"-e link\n-echo link", plain(func(*Options) {})},
		{"-i link\n-iec link", plain(func(o *Options) { o.IEC = true })},
		{"-r link\n-resolve link", plain(func(o *Options) { o.Resolve = true })},
		{"-help\n-help link", plain(func(o *Options) { o.Help = true })},
		{"-M link\n-f mpls link", plain(func(o *Options) { o.Family = unix.AF_MPLS })},
		{"-B link\n-f bridge link", plain(func(o *Options) { o.Family = unix.AF_BRIDGE })},
		{"-6 -f inet link", plain(func(o *Options) { o.Family = unix.AF_INET })},
		{"-c=always -color=never link", plain(func(*Options) {})},
		{"-c -- -j", plain(func(o *Options) { o.Color = "always" })},
	} {
		for line := range strings.Lines(tt.lines) {
			got, rest, err := ParseOptions(strings.Fields(line))
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil || len(rest) > 1 {
				t.Errorf("%s: %v, left %v -want +got\n%s", line, err, rest, diff)
			}
		}
	}
	for line, want := range map[string]string{
		"-foo link": `option "-foo" is unknown`, "-n": `"-n" needs a value`, "-f ipx link": `family "ipx" is unknown`,
		"-f any link":   `family "any" is unknown`,
		"-rc many link": `"many" is not a number`, "--jsno link": `option "--jsno" is unknown`,
		"-rc 4294967296 link": `"4294967296" is not a number`, "-44 link": `option "-44" is unknown`,
		"-c=sometimes link": `option "-c=sometimes" is unknown`, "-f": `"-f" needs a value`,
	} {
		if _, _, err := ParseOptions(strings.Fields(line)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// TestOptionsEnd checks which words are left after the options. A single dash is not an option.
func TestOptionsEnd(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "-j": "", "-j link -4": "link -4", "-- -j link": "-j link", "-j - link": "- link", "link": "link",
	} {
		if _, rest, err := ParseOptions(strings.Fields(line)); strings.Join(rest, " ") != want || err != nil {
			t.Errorf("%s: left %q, %v; want %q", line, rest, err, want)
		}
	}
}

// TestOptionTable checks that each option is in the table once and complete.
func TestOptionTable(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range OptionTable {
		if seen[o.Name] || o.Usage == "" || o.set == nil {
			t.Errorf("%q is in the table twice, or is incomplete", o.Name)
		}
		seen[o.Name] = true
	}
}

// TestLongBatchLine: a line that is too long, or has no end, is an error. It is not read to its end.
func TestLongBatchLine(t *testing.T) {
	for what, in := range map[string]io.Reader{
		"no end": zeros{}, "no end in many lines": joined{},
		"one line": strings.NewReader(strings.Repeat("x", maxBatchLine+1) + "\n"),
	} {
		if line, _, err := BatchLine(bufio.NewReader(in)); !errors.Is(err, errLongLine) || line != nil {
			t.Errorf("%s: %d words, %v", what, len(line), err)
		}
	}
	long := strings.Repeat("x", maxBatchLine-1)
	line, _, err := BatchLine(bufio.NewReader(strings.NewReader(long + "\n")))
	if err != nil || len(line) != 1 || line[0] != long {
		t.Errorf("a line of %d bytes: %d words, %v", len(long)+1, len(line), err)
	}
}

// zeros is like /dev/zero.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// joined is lines that backslashes join without end.
type joined struct{}

func (joined) Read(b []byte) (int, error) { return copy(b, "word \\\n"), nil }

func TestBatchLine(t *testing.T) {
	type line struct {
		words string // with | between them
		n     int
	}
	for text, want := range map[string][]line{
		"link\naddr\n":                 {{"link", 1}, {"addr", 1}, {"", 0}},
		"link # a comment\n":           {{"link", 1}, {"", 0}},
		"link set v0#\\\nup\n":         {{"link|set|v0", 1}, {"up", 1}, {"", 0}},
		"# only one\n\n":               {{"", 1}, {"", 1}, {"", 0}},
		"link add \\\n v0 type veth\n": {{"link|add|v0|type|veth", 2}, {"", 0}},
		"link set v0 alias 'a b'\n":    {{"link|set|v0|alias|a b", 1}, {"", 0}},
		"link set v0 alias \"it's\"":   {{"link|set|v0|alias|it's", 1}},
		"\tlink \t up\r\n":             {{"link|up", 1}, {"", 0}},
		"link \\":                      {{"link|\\", 1}},
		"":                             {{"", 0}},
		"a\\\nb\\\nc\n":                {{"abc", 3}, {"", 0}},
		"'a''b' \"\" c# '#'":           {{"a|b||c", 1}},
		"\r\n\"a'b\"c 'd\"'\n":         {{"", 1}, {"a'b|c|d\"", 1}, {"", 0}},
	} {
		in := bufio.NewReader(strings.NewReader(text))
		for i, w := range want {
			words, n, err := BatchLine(in)
			if last := i == len(want)-1; errors.Is(err, io.EOF) != last || err != nil && !last {
				t.Errorf("%q, line %d: %v", text, i, err)
			}
			if got := strings.Join(words, "|"); got != w.words || n != w.n {
				t.Errorf("%q, line %d: %q of %d, want %q of %d", text, i, got, n, w.words, w.n)
			}
		}
	}
	for _, text := range []string{"link 'open\n", "link \"open"} {
		if _, _, err := BatchLine(bufio.NewReader(strings.NewReader(text))); !errors.Is(err, errQuote) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
