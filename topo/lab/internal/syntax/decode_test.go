package syntax

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A file has a key of each kind of value.
type file struct {
	Name   string             `yaml:"name"`
	On     bool               `yaml:"on"`
	Count  int                `yaml:"count"`
	Addr   netip.Addr         `yaml:"addr"`
	Subnet Many[netip.Prefix] `yaml:"subnet"`
	Loss   Percent            `yaml:"loss"`
	Rate   Bitrate            `yaml:"rate"`
	Hosts  Table[*file]       `yaml:"hosts"`
	Parts  []file             `yaml:"parts"`
	At     Pos                `yaml:"-"`
}

func decode(text string) (f file, mistakes string) {
	d := NewDecoder(NewSource("lab.yaml", []byte(text)))
	d.Document([]byte(text), &f)
	var b strings.Builder
	for _, m := range d.Sorted() {
		fmt.Fprintf(&b, "%d:%d %s: %s; %s\n", m.At.Line, m.At.Column, m.Text, m.Message, m.Hint)
	}
	return f, b.String()
}

func TestDecode(t *testing.T) {
	got, mistakes := decode("name: a\n" + `on: true
count: 3
addr: 10.0.0.1
subnet: 10.0.0.0/24
loss: 1.5%
rate: 10mbit
hosts:
  red: {count: 1}
  blue:
`)
	want := file{
		Name: "a", On: true, Count: 3, Addr: netip.MustParseAddr("10.0.0.1"),
		Subnet: Many[netip.Prefix]{netip.MustParsePrefix("10.0.0.0/24")}, Loss: 1.5, Rate: 10_000_000, At: Pos{1, 1},
		Hosts: Table[*file]{{"red", &file{Count: 1, At: Pos{9, 8}}, Pos{9, 3}}, {"blue", &file{At: Pos{10, 8}}, Pos{10, 3}}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" || mistakes != "" {
		t.Errorf("decoded as another value (-want +got):\n%s%s", diff, mistakes)
	}
}

// Each mistake is at its place, once, and the decoder continues after it.
func TestDecodeMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"": "1:1 : the file is empty; begin with \"networks:\" and \"hosts:\"\n",
		"nam: a\ncount: x": "1:1 nam: unknown key \"nam\"; did you mean \"name\"?\n" +
			"2:8 x: count: \"x\": expected an integer; \n",
		"name: a\nname: b": "2:1 name: repeated key \"name\"; it is already in line 1\n",
		"on: yes":          "1:5 yes: \"yes\" is neither true nor false; write true\n",
		"subnet: [10.0.0.0, x]": "1:10 10.0.0.0: \"10.0.0.0\" has no prefix length; write 10.0.0.0/24, for example\n" +
			"1:20 x: subnet: \"x\": expected an address with a prefix length such as 192.168.15.0/24 or fd00::/64; \n",
		"subnet: 'fd00::'": "1:10 fd00::: \"fd00::\" has no prefix length; write fd00::/64, for example\n",
		"count: {a: b}":    "1:8 : count: expected a single value, not a mapping; \n",
		"count:":           "1:7 : count: the value is missing; \n",
		// After the keys of an entry, the key is the list's again.
		"parts: [{count: 1}, x]": "1:21 x: parts: expected a mapping, not \"x\"; known keys: name, on, count, addr, " +
			"subnet, loss, rate, hosts, parts\n",
		"on: true\nhosts: *none": "2:8 *none: there is no anchor &none; \n",
		"hosts: [a]": "1:8 : hosts: expected a mapping of names, not a list; " +
			"write \"name:\" and indent its keys below\n",
		"name: [a": "1:1 : this is not YAML: ',' or ']' is missing here or in a line above; " +
			"check the indentation, and quote text that contains : # { or [\n",
	} {
		if _, got := decode(text); got != want {
			t.Errorf("%q: mistakes are\n%swant\n%s", text, got, want)
		}
	}
}

// A document that expands to too many values ends with one mistake.
func TestDecodeEnds(t *testing.T) {
	text := "hosts:\n  a: &a {hosts: {b: *a}}\n"
	if _, got := decode(text); strings.Count(got, "the file expands to too many values") != 1 {
		t.Errorf("an alias of itself: %q", got)
	}
	text = "hosts:\n  a: &a {repeat: 2, name: x(n), hosts: {b: *a}}\n"
	if _, got := decode(text); strings.Count(got, "the file expands to too many values") != 1 {
		t.Errorf("an alias of itself in copies: %q", got)
	}
}

// Many entries may merge the same keys: only the depth of values is limited.
func TestMerges(t *testing.T) {
	text := "hosts:\n  a: &a {count: 7}\n"
	for i := range 2 * maxDepth {
		text += fmt.Sprintf("  h%d: {<<: *a}\n", i)
	}
	f, mistakes := decode(text)
	if mistakes != "" || f.Hosts[len(f.Hosts)-1].Value.Count != 7 {
		t.Errorf("mistakes: %s", mistakes)
	}
}

// A mapping is read back as it was written.
func TestWrite(t *testing.T) {
	var m, sub Mapping
	m.Text("name", "true")
	m.Flag("on", true)
	m.Number("count", 0)
	m.One("subnet", []string{"10.0.0.0/24"})
	sub.Number("count", 7)
	m.Table("hosts", 1, func(int) (string, Mapping) { return "red", sub })
	want := "name: \"true\"\non: true\nsubnet: 10.0.0.0/24\nhosts:\n  red:\n    count: 7\n"
	if got := string(m.Document()); got != want {
		t.Errorf("written as\n%swant\n%s", got, want)
	}
	if f, mistakes := decode(want); mistakes != "" || f.Name != "true" || !f.On || f.Hosts[0].Value.Count != 7 {
		t.Errorf("read back as %+v, mistakes %q", f, mistakes)
	}
}
