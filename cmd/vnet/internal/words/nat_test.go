package words

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

func TestNATVerb(t *testing.T) {
	for words, want := range map[string]string{
		"": "show", "show": "show", "s": "show", "list": "show", "add": "add", "a": "add",
		"del": "delete", "delete": "delete", "d": "delete", "flush": "flush", "help": "help",
	} {
		w := Of(strings.Fields(words))
		if got := w.NATVerb(); got != want || w.Err != nil {
			t.Errorf("nat %s: %q, %v; want %q", words, got, w.Err, want)
		}
	}
	w := Of([]string{"shwo"})
	if w.NATVerb(); w.Err == nil || w.Err.(*Error).Hint != `did you mean "show"?` {
		t.Errorf("nat shwo: %v", w.Err)
	}
	w = Of(strings.Fields("-t nat -A POSTROUTING -j MASQUERADE"))
	if w.NATVerb(); w.Err == nil || !strings.HasPrefix(w.Err.(*Error).Hint, "vnet takes no table and no chain") {
		t.Errorf("nat -t nat: %v", w.Err)
	}
}

func TestNATRules(t *testing.T) {
	red, red6 := ipa("192.168.15.2"), ipa("fd00::2")
	web := nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 8080}
	for _, tt := range []struct {
		words  string
		family int
		want   []nft.Rule
	}{
		{"masquerade -s 192.168.15.0/24", 0, []nft.Rule{nft.Masquerade{Source: pfx("192.168.15.0/24")}}},
		{"masquerade -s 192.168.15.7/24", 0, []nft.Rule{nft.Masquerade{Source: pfx("192.168.15.0/24")}}},
		{"masquerade -s 192.168.15.7", 0, []nft.Rule{nft.Masquerade{Source: pfx("192.168.15.7/32")}}},
		{"masquerade -s 192.168.15.0/255.255.255.0", 0, []nft.Rule{nft.Masquerade{Source: pfx("192.168.15.0/24")}}},
		{"masquerade --source fd00::/64 -o eth0", 0, []nft.Rule{nft.Masquerade{Source: pfx("fd00::/64"), Out: "eth0"}}},
		{"masquerade -s 192.168.15.0/24 --random-fully", 0,
			[]nft.Rule{nft.Masquerade{Source: pfx("192.168.15.0/24"), Random: true}}},
		{"masquerade --random-fully", unix.AF_INET6, []nft.Rule{nft.Masquerade{Source: pfx("::/0"), Random: true}}},
		{"masquerade --out-interface eth0", 0, []nft.Rule{nft.Masquerade{Out: "eth0"}}},
		{"masquerade", 0, []nft.Rule{nft.Masquerade{Source: pfx("0.0.0.0/0")}, nft.Masquerade{Source: pfx("::/0")}}},
		{"masquerade", unix.AF_INET, []nft.Rule{nft.Masquerade{Source: pfx("0.0.0.0/0")}}},
		{"masquerade", unix.AF_INET6, []nft.Rule{nft.Masquerade{Source: pfx("::/0")}}},
		{"snat -s 10.0.0.0/8 --to-source 198.51.100.7", 0,
			[]nft.Rule{nft.SourceNAT{Source: pfx("10.0.0.0/8"), To: ipa("198.51.100.7")}}},
		{"snat --to-source 198.51.100.7 -o eth0 -s 10.0.0.0/8", 0,
			[]nft.Rule{nft.SourceNAT{Source: pfx("10.0.0.0/8"), Out: "eth0", To: ipa("198.51.100.7")}}},
		{"dnat -p tcp --dport 80 --to-destination 192.168.15.2:8080", 0, []nft.Rule{web}},
		{"dnat --to-destination 192.168.15.2:8080 --dport 80", 0, []nft.Rule{web}},
		{"dnat --dport 80 --to-destination 192.168.15.2", 0,
			[]nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 80}}},
		{"dnat --protocol udp -d 10.0.0.1 -i eth0 --dport 8000-8100 --to-destination 192.168.15.2", 0, []nft.Rule{nft.Forward{
			Proto: nft.UDP, Addr: ipa("10.0.0.1"), In: "eth0", Ports: nft.Ports{First: 8000, Last: 8100}, To: red,
			ToPort: 8000}}},
		{"dnat -p sctp --destination-port 8000:8001 --to-destination [fd00::2]:9000-9001", 0, []nft.Rule{nft.Forward{
			Proto: nft.SCTP, Ports: nft.Ports{First: 8000, Last: 8001}, To: red6, ToPort: 9000}}},
		{"dnat --dport 1-65535 --to-destination 192.168.15.2", 0, []nft.Rule{nft.Forward{Proto: nft.TCP,
			Ports: nft.Ports{First: 1, Last: 65535}, To: red, ToPort: 1}}},
		{"dnat --dport 80-80 --to-destination 192.168.15.2:65535", 0,
			[]nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 65535}}},
		{"dnat --dport 80,443,80,9000-9001 --to-destination 192.168.15.2", 0, []nft.Rule{
			nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red, ToPort: 80},
			nft.Forward{Proto: nft.TCP, Ports: nft.Port(443), To: red, ToPort: 443},
			nft.Forward{Proto: nft.TCP, Ports: nft.Ports{First: 9000, Last: 9001}, To: red, ToPort: 9000}}},
		{"dnat -p udp --dports 80,443 --to-destination 192.168.15.2:8080", 0, []nft.Rule{
			nft.Forward{Proto: nft.UDP, Ports: nft.Port(80), To: red, ToPort: 8080},
			nft.Forward{Proto: nft.UDP, Ports: nft.Port(443), To: red, ToPort: 8080}}},
		{"dnat -d 10.0.0.1 --to-destination 192.168.15.2", 0, []nft.Rule{
			nft.Forward{Proto: nft.TCP, Addr: ipa("10.0.0.1"), Ports: nft.Ports{First: 1, Last: 65535}, To: red, ToPort: 1},
			nft.Forward{Proto: nft.UDP, Addr: ipa("10.0.0.1"), Ports: nft.Ports{First: 1, Last: 65535}, To: red, ToPort: 1},
			nft.Forward{Proto: nft.SCTP, Addr: ipa("10.0.0.1"), Ports: nft.Ports{First: 1, Last: 65535}, To: red, ToPort: 1}}},
		{"dnat -p tcp -d fd00::1 -i eth0 --to-destination fd00::2", 0, []nft.Rule{nft.Forward{Proto: nft.TCP,
			Addr: ipa("fd00::1"), In: "eth0", Ports: nft.Ports{First: 1, Last: 65535}, To: red6, ToPort: 1}}},
		{"dnat --dport 80 --to-destination fd00::2", 0,
			[]nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red6, ToPort: 80}}},
		{"dnat --dport 80 --to-destination [fd00::2]", 0,
			[]nft.Rule{nft.Forward{Proto: nft.TCP, Ports: nft.Port(80), To: red6, ToPort: 80}}},
	} {
		w := Of(strings.Fields(tt.words))
		got, _ := w.NATRules(tt.family)
		if w.Err != nil {
			t.Errorf("nat add %s: %v", tt.words, w.Err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmpPrefix, cmpAddr); diff != "" {
			t.Errorf("nat add %s: -want +got\n%s", tt.words, diff)
		}
	}
}

func TestNATMistakes(t *testing.T) {
	for _, tt := range []struct{ words, want, hint string }{
		{"", "the kind of rule is missing: masquerade, dnat or snat", ""},
		{"dnta", `kind of rule "dnta" is unknown`, `did you mean "dnat"?`},
		{"-A POSTROUTING", `kind of rule "-A" is unknown`,
			"vnet takes no table and no chain: vnet nat add masquerade -s NETWORK, vnet nat del ..., vnet nat, vnet nat flush"},
		{"masquerade ! -o eth0", `option of masquerade "!" is unknown`,
			"negation is not supported; add a rule for each network or port"},
		{"masquerade -o eth0 -j MASQUERADE", `option of masquerade "-j" is unknown`,
			"the target is already given by the kind of rule: masquerade"},
		{"masquerade -o eth+", `-o takes one device, not a pattern like eth+`, "add a rule for each device"},
		{"dnat -i + --dport 80 --to-destination 10.0.0.2", `-i takes one device, not a pattern like +`,
			"add a rule for each device"},
		{"dnat --dport 80 --to-destination 127.0.0.1",
			"cannot translate to 127.0.0.1: the kernel drops packets to it from outside; use another address of the host", ""},
		{"dnat --dport 80 --to-destination ::1",
			"cannot translate to ::1: the kernel drops packets to it from outside; use another address of the host", ""},
		{"dnat --dport 80,,443 --to-destination 10.0.0.2",
			`--dport needs a port from 1 to 65535 or a range such as 8000-8100, not ""`, ""},
		{"dnat --dport 80,90-91 --to-destination 10.0.0.2:8080",
			"--dport 90-91 and --to-destination's 8080 differ in the number of ports",
			"give the same number of ports after the address, or none to keep the ports"},
		{"dnat -d 10.0.0.1 --to-destination 10.0.0.2:8080", "dnat needs --dport: the port or ports to forward",
			"to forward all ports of an address, write -d ADDRESS and no port"},
		{"dnat -d 10.0.0.1", "dnat needs --to-destination: the target address", ""},
		{"dnat -d 10.0.0.1 --to-destination fd00::2",
			"cannot forward 10.0.0.1 to fd00::2: different address families", ""},
		{"snat -s 10.0.0.0/8 --to-source 1.2.3.4-1.2.3.9", `--to-source needs an address, not "1.2.3.4-1.2.3.9"`, ""},
		{"masquerade -x", `option of masquerade "-x" is unknown`, `did you mean "-s"?`},
		{"masquerade --dport 80", `option of masquerade "--dport" is unknown`, ""},
		{"masquerade -s", `"-s" needs a value`, ""},
		{"masquerade -o", `"-o" needs a value`, ""},
		{"dnat -p", `"-p" needs a value`, ""},
		{"dnat --dport 80 -d red --to-destination 10.0.0.2", `-d needs an address, not "red"`, ""},
		{"dnat --dport 80 --to-destination [fd00::2]:", `--to-destination needs ADDR[:PORT[-PORT]], not "[fd00::2]:"`, ""},
		{"dnat --dport 80 --to-destination 10.0.0.2:0",
			`--to-destination needs a port from 1 to 65535 or a range such as 8000-8100, not "0"`, ""},
		{"masquerade --jump X", `option of masquerade "--jump" is unknown`,
			"the target is already given by the kind of rule: masquerade"},
		{"masquerade -s foo", `-s needs a network such as 192.168.15.0/24, not "foo"`, ""},
		{"masquerade -s default", `-s needs a network such as 192.168.15.0/24, not "default"`, ""},
		{"masquerade -o sixteen-bytes-is", `device name "sixteen-bytes-is" has 16 bytes, maximum is 15`, ""},
		{"masquerade -o ../x", `"../x" is not a valid device name`, ""},
		{"snat --to-source 1.2.3.4", "snat needs -s: the source network", ""},
		{"snat -s 10.0.0.0/8", "snat needs --to-source: the new source address", ""},
		{"snat -s 10.0.0.0/8 --to-source fd00::1", "source and target have different address families", ""},
		{"dnat --to-destination 10.0.0.2", "dnat needs --dport: the port or ports to forward", ""},
		{"dnat --dport 80", "dnat needs --to-destination: the target address", ""},
		{"dnat -p icmp --dport 80", `protocol "icmp": expected tcp, udp or sctp`, ""},
		{"dnat --dport 0 --to-destination 10.0.0.2",
			`--dport needs a port from 1 to 65535 or a range such as 8000-8100, not "0"`, ""},
		{"dnat --dport 65536 --to-destination 10.0.0.2",
			`--dport needs a port from 1 to 65535 or a range such as 8000-8100, not "65536"`, ""},
		{"dnat --dport 90-80 --to-destination 10.0.0.2",
			`--dport needs a port from 1 to 65535 or a range such as 8000-8100, not "90-80"`, ""},
		{"dnat --dport 80-89 --to-destination 10.0.0.2:8080",
			"--dport 80-89 and --to-destination's 8080 differ in the number of ports",
			"give the same number of ports after the address, or none to keep the ports"},
		{"dnat --dport 80 --to-destination 10.0.0.2:", `--to-destination needs ADDR[:PORT[-PORT]], not "10.0.0.2:"`, ""},
		{"dnat --dport 80 --to-destination [fd00::2]80", `--to-destination needs ADDR[:PORT[-PORT]], not "[fd00::2]80"`, ""},
		{"dnat --dport 80 --to-destination red", `--to-destination needs an address, not "red"`, ""},
		{"dnat --dport 80 -d fd00::1 --to-destination 10.0.0.2",
			"cannot forward fd00::1 to 10.0.0.2: different address families", ""},
		{"dnat --dport 80 -d ::1 --to-destination fd00::2",
			"the kernel cannot forward connections to ::1; use another address of the machine", ""},
	} {
		w := Of(strings.Fields(tt.words))
		rules, _ := w.NATRules(0)
		e, ok := w.Err.(*Error)
		if !ok || rules != nil || e.Text != tt.want || tt.hint != "" && e.Hint != tt.hint {
			t.Errorf("nat add %s: %v, %v\nwant %s", tt.words, rules, w.Err, tt.want)
		}
	}
}

// TestNATNotes checks what is said about words that may mean something else than the user thinks.
func TestNATNotes(t *testing.T) {
	for words, want := range map[string]string{
		"masquerade -s 192.168.15.0":            "-s 192.168.15.0 is one address; the network is 192.168.15.0/24",
		"masquerade -s fd00:15::":               "-s fd00:15:: is one address; the network is fd00:15::/64",
		"masquerade -s 192.168.15.0/32":         "",
		"masquerade -s 192.168.15.0/24":         "",
		"masquerade -s 192.168.15.2":            "",
		"masquerade -s 0.0.0.0":                 "",
		"masquerade -s fd00:15::2":              "",
		"snat -s 10.0.0.0 --to-source 10.1.0.0": "-s 10.0.0.0 is one address; the network is 10.0.0.0/24",
		"dnat --dport 80 --to-destination fd00:15::2:80": "--to-destination fd00:15::2:80 has no port; with one it is " +
			"--to-destination [fd00:15::2]:80",
		"dnat --dport 80 --to-destination fd00:15::2":       "",
		"dnat --dport 80 --to-destination fd00:15::2:a0":    "",
		"dnat --dport 80 --to-destination [fd00:15::2:80]":  "",
		"dnat --dport 80 --to-destination 1:2:3:4:5:6:7:80": "",
		"dnat --dport 80 --to-destination 10.0.0.2:80":      "",
	} {
		rules, notes := Of(strings.Fields(words)).NATRules(0)
		if got := strings.Join(notes, "; "); got != want || len(rules) == 0 {
			t.Errorf("nat add %s: %d rules, notes %q, want %q", words, len(rules), got, want)
		}
	}
}

func FuzzNATRules(f *testing.F) {
	f.Add("dnat -p tcp -d 10.0.0.1 -i eth0 --dport 80-81 --to-destination 10.0.0.2:8080-8081")
	f.Add("dnat --dport 80 --to-destination [fd00::2]:80")
	f.Add("snat -s 10.0.0.0/8 -o eth0 --to-source 1.2.3.4")
	f.Add("masquerade")
	f.Fuzz(func(t *testing.T, line string) {
		w := Of(strings.Fields(line))
		rules, _ := w.NATRules(0)
		if (w.Err == nil) != (len(rules) > 0) {
			t.Errorf("%s: %v, %v", line, rules, w.Err)
		}
		for _, r := range rules {
			if err := r.Check(); err != nil {
				t.Errorf("%s is accepted: %v", line, err)
			}
		}
	})
}
