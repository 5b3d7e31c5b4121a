package lab

import (
	"bytes"
	gocmp "cmp"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// equalTopology compares topologies without positions in files.
var equalTopology = cmp.Options{
	cmp.Comparer(func(a, b syntax.Pos) bool { return true }),
	cmp.Comparer(func(a, b *syntax.Source) bool { return true }),
	cmp.AllowUnexported(
		Topology{}, Network{}, Host{}, Attachment{}, Link{}, Device{},
		Forward{}, StaticRoute{}, StaticNeigh{}, StaticRule{}, Setting{}, Expectation{},
	),
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.EquateEmpty(),
}

func mustParse[text string | []byte](t testing.TB, file string, lab text) Topology {
	t.Helper()
	parsed, err := Parse(file, []byte(lab))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return parsed
}

// Parse reads the output of Format as the same topology.
func TestFormatIsReadBack(t *testing.T) {
	for name, text := range golden.Examples(t) {
		t.Run(name, func(t *testing.T) {
			lab := mustParse(t, name, text)
			written := Format(lab)
			again, err := Parse(name, written)
			if err != nil {
				t.Fatalf("Parse fails on its Format:\n%v\n%s", err, written)
			}
			if diff := cmp.Diff(lab, again, equalTopology); diff != "" {
				t.Errorf("parsed again (-before +after):\n%s\n%s", diff, written)
			}
			if twice := Format(again); string(twice) != string(written) {
				t.Errorf("Format of Format is\n%s", twice)
			}
		})
	}
}

// Values of the lab file with a syntax of their own, and how they are written again.
func TestWords(t *testing.T) {
	port := func(s string) (string, error) { p, err := parseHostForward(s); return p.String(), err }
	forward := func(s string) (string, error) { p, err := parseRouterForward(s); return p.String(), err }
	route := func(s string) (string, error) { r, err := ParseRoute(s); return r.String(), err }
	neigh := func(s string) (string, error) { n, err := parseNeigh(s); return n.String(), err }
	fact := func(s string) (string, error) { x, err := ParseExpectation(s); return x.String(), err }
	for _, c := range []struct {
		kind  string
		parse func(string) (string, error)
		in    string
		out   string // "" means the same as in
	}{
		{"port", port, "8080:80", ""},
		{"port", port, "80", "80:80"},
		{"port", port, "80/udp", "80:80/udp"},
		{"port", port, "127.0.0.1:9000-9010:9000-9010", ""},
		{"port", port, "[fd00::1]:53:5353/udp", ""},
		{"port", port, "1-65535:1-65535/sctp", ""},
		{"port", port, "80:80/tcp", "80:80"},
		{"forward", forward, "8080:web:80", ""},
		{"forward", forward, "8080:web", "8080:web:8080"},
		{"forward", forward, "203.0.113.1:53:10.0.0.2:53/udp", ""},
		{"forward", forward, "[2001:db8::1]:80:[fd00::2]:8080", ""},
		{"forward", forward, "1-9:web:1-9", ""},

		{"route", route, "10.2.0.0/16 via 10.0.0.2", ""},
		{"route", route, "default via 10.0.0.2", ""},
		{"route", route, "default via fd00::1 dev eth1", ""},
		{"route", route, "0.0.0.0/0 via 10.0.0.2", "default via 10.0.0.2"},
		{"route", route, "::/0 dev eth0", ""},
		{"route", route, "default dev eth0", ""},
		{"route", route, "0.0.0.0/0 via inet6 fe80::1 dev eth0", ""},
		{"route", route, "10.9.9.9 via 10.0.0.2 onlink", ""},
		{"route", route, "unicast 10.9.9.9/32 via 10.0.0.2", "10.9.9.9 via 10.0.0.2"},
		{"route", route, "blackhole 10.9.0.0/16", ""},
		{"route", route, "prohibit fd00:9::/32 table 100 metric 7", ""},
		{"route", route, "unreachable default", "unreachable 0.0.0.0/0"},
		{
			"route", route, "10.0.0.0/8 metric 5 via 10.0.0.1 src 10.0.0.9 mtu 1400 table main",
			"10.0.0.0/8 via 10.0.0.1 src 10.0.0.9 metric 5 mtu 1400",
		},
		{"route", route, "10.0.0.0/8 nexthop via 10.0.0.1 weight 2 nexthop via 10.0.1.1 dev eth1", ""},
		{"route", route, "10.0.0.0/8 nexthop via 10.0.0.1", "10.0.0.0/8 via 10.0.0.1"},

		{"neighbour", neigh, "10.0.0.9 lladdr 02:00:00:00:00:09", ""},
		{
			"neighbour", neigh, "fd00::9 dev eth1 lladdr 02:00:00:00:00:09 nud permanent",
			"fd00::9 lladdr 02:00:00:00:00:09 dev eth1",
		},

		{"fact", fact, "red -> blue: ping", ""},
		{"fact", fact, "red -> blue", "red -> blue: ping"},
		{"fact", fact, "red -> blue: ", "red -> blue: ping"},
		{"fact", fact, "red->blue: ping", "red -> blue: ping"},
		{"fact", fact, "red -> blue: no ping", "red -> blue: not ping"},
		{"fact", fact, "red -> fd00::1: ping6 size 1500", ""},
		{"fact", fact, "blue -> red tcp 22: refused", "blue -> red: tcp 22 refused"},
		{"fact", fact, "blue -> red udp4 53: unreachable", "blue -> red: udp4 53 unreachable"},
		{"fact", fact, "red -> outside tcp 80: as 203.0.113.1", "red -> outside: tcp 80 as 203.0.113.1"},
		{"fact", fact, "pc -> www.office.test: dns", ""},
		{"fact", fact, "pc -> www: dns 10.0.0.1", ""},
		{"fact", fact, "pc -> www: not dns", ""},
	} {
		t.Run(c.kind+" "+c.in, func(t *testing.T) {
			got, err := c.parse(c.in)
			if want := gocmp.Or(c.out, c.in); err != nil || got != want {
				t.Fatalf("parsed as %q (%v), want %q", got, err, want)
			}
			if again, err := c.parse(got); err != nil || again != got {
				t.Errorf("%q is parsed again as %q (%v)", got, again, err)
			}
		})
	}
}

// Defaults apply to keys that an entry does not have.
func TestDefaultsAndRepeat(t *testing.T) {
	lab := mustParse(t, "lab.yaml", []byte(`
defaults:
  networks: {mtu: 9000, subnets: [10.0.0.0/24]}
  hosts: {networks: [a], sysctls: {net.ipv4.tcp_ecn: 1}}
  links: {mtu: 1400}
networks:
  a:
  b: {mtu: 1500, subnets: [10.1.0.0/24]}
hosts:
  r: {repeat: 2-3}
  s(n)x: {repeat: 2, networks: [b]}
  machine: {router: true}
links:
  - {repeat: 2, endpoints: [r(n+1), s(n)x]}
  - {endpoints: [r2, r3], mtu: 1280}
expect:
  - r* -> s*: ping
`))
	got := string(Format(lab))
	want := strings.TrimLeft(`
name: lab
networks:
  a:
    subnets: [10.0.0.0/24]
    mtu: 9000
  b:
    subnets: [10.1.0.0/24]
    mtu: 1500
hosts:
  r2:
    networks: [a]
    sysctls: {net.ipv4.tcp_ecn: "1"}
  r3:
    networks: [a]
    sysctls: {net.ipv4.tcp_ecn: "1"}
  s1x:
    networks: [b]
    sysctls: {net.ipv4.tcp_ecn: "1"}
  s2x:
    networks: [b]
    sysctls: {net.ipv4.tcp_ecn: "1"}
  machine:
    router: true
links:
  - {endpoints: [r2, s1x], mtu: 1400}
  - {endpoints: [r3, s2x], mtu: 1400}
  - {endpoints: [r2, r3], mtu: 1280}
expect:
  - r2 -> s1x: ping
  - r2 -> s2x: ping
  - r3 -> s1x: ping
  - r3 -> s2x: ping
`, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Format (-want +got):\n%s", diff)
	}
}

// JSON, anchors and merge keys work.
func TestJSONAndAnchors(t *testing.T) {
	for name, text := range map[string]string{
		"JSON": `{"networks": {"a": {"subnets": ["10.0.0.0/24"], "nat": true}},
			"hosts": {"red": {"networks": ["a"], "ports": [80]}, "blue": {"networks": ["a"]}}}`,
		"aliases": "networks: {a: {subnets: 10.0.0.0/24, nat: true}}\n" +
			"hosts:\n  red: {networks: &nets [a], ports: 80}\n  blue: {networks: *nets}\n",
		"merge": "networks: {a: {subnets: 10.0.0.0/24, nat: true}}\n" +
			"hosts:\n  red: &r {networks: [a], ports: 80}\n  blue: {<<: *r, ports: []}\n",
	} {
		lab := mustParse(t, "x.json", []byte(text))
		want := "name: x\nnetworks:\n  a:\n    subnets: [10.0.0.0/24]\n    nat: true\n" +
			"hosts:\n  red:\n    networks: [a]\n    ports: ['80:80']\n  blue:\n    networks: [a]\n"
		if diff := cmp.Diff(want, string(Format(lab))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// FuzzParse: for any file, Parse returns mistakes or a topology and does not
// panic. Parse reads the Format of the topology as the same topology.
func FuzzParse(f *testing.F) {
	for name, text := range golden.Examples(f) {
		if name != "thousand.yaml" {
			f.Add(text)
		}
	}
	cases, _ := filepath.Glob("testdata/mistakes/*.txtar")
	for _, path := range cases {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		_, lab, _ := strings.Cut(string(text), "-- lab.yaml --\n")
		lab, _, _ = strings.Cut(lab, "-- mistakes --\n")
		f.Add([]byte(lab))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<14 {
			return
		}
		lab, err := Parse("lab.yaml", text)
		if err != nil {
			for _, m := range err.(Mistakes) {
				_ = m.Excerpt()
			}
			return
		}
		if len(lab.Hosts)+len(lab.Networks)+len(lab.Links)+len(lab.Expect) > 100 {
			return // it takes too long
		}
		again, err := Parse("lab.yaml", Format(lab))
		if err != nil {
			t.Fatalf("Parse fails on Format: %v\n%s", err, Format(lab))
		}
		if diff := cmp.Diff(lab, again, equalTopology); diff != "" {
			t.Fatalf("Format is parsed as another topology (-before +after):\n%s", diff)
		}
		// Compile, Facts and Export accept each topology that Parse accepts.
		state, err := Compile(lab)
		if err != nil {
			t.Fatalf("Parse finds no mistake, but Compile does: %v\n%s", err, text)
		}
		Facts(lab)
		Export(lab.Name, state)
	})
}

// TestIgnoredKeys: keys that begin with x- can hold anchors anywhere, and say nothing by themselves.
func TestIgnoredKeys(t *testing.T) {
	with := mustParse(t, "lab.yaml", `
x-leaf: &leaf {networks: [n], x-owner: somebody}
name: a
networks: {n: {subnets: [10.1.0.0/24], x-note: [1, {2: 3}]}}
hosts: {red: *leaf, blue: {<<: *leaf, aliases: [b]}}
`)
	without := mustParse(t, "lab.yaml", `
name: a
networks: {n: {subnets: [10.1.0.0/24]}}
hosts: {red: {networks: [n]}, blue: {networks: [n], aliases: [b]}}
`)
	if got, want := Format(with), Format(without); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
