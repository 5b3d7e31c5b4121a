package iprule

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestWords: the canonical words of a rule, and that they are their own canonical words.
func TestWords(t *testing.T) {
	for words, want := range map[string]string{
		"lookup 7": "from all lookup 7",
		"ta 254":   "from all lookup main",
		"from 10.0.0.1 to 10.9.8.7/8 table local":     "from 10.0.0.1 to 10.0.0.0/8 lookup local",
		"from all to 0.0.0.0/0 fwmark 0x10 lookup 7":  "from all fwmark 0x10 lookup 7",
		"not dev eth0 oif lo fwmark 7/15 prohibit":    "not from all fwmark 0x7/0xf iif eth0 oif lo prohibit",
		"fwmark 0 ipproto 0 uidrange 0-4294967295":    "from all lookup main",
		"fwmark 0/0xff lookup 7":                      "from all fwmark 0/0xff lookup 7",
		"dsfield 16 ipproto udp sport 1-2 dport 0x35": "from all tos 0x10 ipproto 17 sport 1-2 dport 53 lookup main",
		"uidrange 0-5 goto 9":                         "from all uidrange 0-5 goto 9",
		"l3mdev":                                      "from all l3mdev",
		"sup_pl 0 sup_group 3 type lookup 7":          "",
		"lookup 7 suppress_p 0 suppress_i 3":          "from all lookup 7 suppress_prefixlength 0 suppress_ifgroup 3",
		"from fd00::/8 dscp 3 flowlabel 7/15 nop":     "from fd00::/8 nop dscp 3 flowlabel 0x7/0xf",
		"sport 0x50/0xf0 dport 80/0xffff blackhole":   "from all sport 0x50/0xf0 dport 80 blackhole",
		"tun_id 9 realms 7 unreachable":               "from all tun_id 9 realms 7 unreachable",
		"pref 5 protocol 4 lookup 7":                  "from all lookup 7",
		"from 10.0.0.0/8 lookup":                      "",
		"from ::ffff:10.0.0.0/104 lookup 7":           "",
		"sport 5 7":                                   "",
		"fwmark 1/x prohibit":                         "",
		"uidrange 5 prohibit":                         "",
		"tos 256 prohibit":                            "",
		"suppress_prefixlength 0x80000000 table 7":    "",
		"iif a/b prohibit":                            "",
		"list of words":                               "",
		"h":                                           "",
	} {
		r, err := Parse(strings.Fields(words))
		if got := r.String(); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%q is %q, want %q (%v)", words, got, want, err)
		}
		if again, err := Parse(strings.Fields(want)); want != "" && (err != nil || again.String() != want) {
			t.Errorf("%q is not canonical: %q (%v)", want, again.String(), err)
		}
	}
}

// TestErrors: errors name the word, and words that may have been meant.
func TestErrors(t *testing.T) {
	for words, want := range map[string]Error{
		"form 10.0.0.0/8": {Word: "form", Text: `unknown word "form" in a rule`},
		"from bogus":      {Word: "bogus", Text: `"bogus" is not a prefix`, Prefix: true},
		"from":            {Word: "from", Text: `"from" needs a value`},
		"lookup x":        {Word: "x", Text: `lookup "x" is not valid`},
		"he":              {Word: "he", Text: `unknown word "he" in a rule`, Help: true},
	} {
		_, err := Parse(strings.Fields(words))
		if err == nil {
			t.Errorf("%q is accepted", words)
			continue
		}
		if strings.HasPrefix(want.Text, "unknown") != slices.Contains(err.Known, "from") {
			t.Errorf("%q: known words: %q", words, err.Known)
		}
		if err.Known = nil; !reflect.DeepEqual(*err, want) || err.Error() != want.Text {
			t.Errorf("%q: %+v, want %+v", words, *err, want)
		}
	}
}

// TestParserReadsWhatItWrites: for random values, the words give the same rule again.
func TestParserReadsWhatItWrites(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 2))
	number := map[uint16]string{
		mark: "fwmark", IPProto: "ipproto", srcPorts: "sport", dstPorts: "dport", tunnel: "tun_id", Table: "table",
		suppressLength: "sup_pl", SuppressGroup: "sup_group", DSCP: "dscp", flowLabel: "flowlabel", Goto: "goto",
	}
	for range 2000 {
		words := []string{"lookup", "7"}
		for attr, keyword := range number {
			width := widths[attr]
			if width == 0 {
				width = 32
			}
			if random.IntN(3) == 0 {
				words = append(words, keyword, Number(0, random.Uint64()>>(64-width)|1))
			}
		}
		first, err := Parse(words)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		if first.Action == jump { // the words have no table and suppressors then
			delete(first.Values, Table)
			delete(first.Values, suppressLength)
			delete(first.Values, SuppressGroup)
		}
		again, err := Parse(strings.Fields(first.String()))
		if err != nil {
			t.Fatalf("%q: %v", first.String(), err)
		}
		if again.String() != first.String() {
			t.Fatalf("%q becomes %q", first.String(), again.String())
		}
	}
}
