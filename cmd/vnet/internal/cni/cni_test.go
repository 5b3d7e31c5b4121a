//go:build linux

package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/topo/live/member"
)

// TestAdd reads each file of testdata/add: the environment and the configuration of an ADD, and the network and the
// member that they mean, or the error.
func TestAdd(t *testing.T) {
	files, err := filepath.Glob("testdata/add/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			env := map[string]string{"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/c1",
				"CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin"}
			var config []byte
			for _, f := range archive.Files {
				switch f.Name {
				case "env":
					for line := range strings.Lines(string(f.Data)) {
						key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
						env[key] = value
					}
				case "config":
					config = f.Data
				}
			}
			out := understood(func(name string) string { return env[name] }, config)
			archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "means" })
			archive.Files = append(archive.Files, txtar.File{Name: "means", Data: []byte(out)})
			golden.File(t, path, txtar.Format(archive))
		})
	}
}

// understood is what an ADD means, in lines.
func understood(getenv func(string) string, config []byte) string {
	env, err := ReadEnv(getenv)
	if err != nil {
		return answer(err)
	}
	c, err := Parse(env.Command, config)
	if err != nil {
		return answer(err)
	}
	if c.Delegate() != "" {
		if _, err := c.Network(Addressing{}); err != nil {
			return answer(err)
		}
		return "delegate " + c.Delegate() + "\n"
	}
	a, err := c.Addressing(env)
	if err != nil {
		return answer(err)
	}
	n, err := c.Network(a)
	if err != nil {
		return answer(err)
	}
	m, err := c.Member(env, a)
	if err != nil {
		return answer(err)
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "network %s bridge %s mtu %d%s\n", n.Name, n.Bridge, n.MTU, on(map[string]bool{
		"gateway": n.Gateway, "default route": n.DefaultRoute, "masquerade": n.Masquerade, "isolate": n.Isolate,
		"hairpin": n.Hairpin, "routed": n.Routed}))
	for _, s := range n.Subnets {
		fmt.Fprintf(b, "subnet %s gateway %s ranges %v\n", s.Prefix, s.Gateway, s.Ranges)
	}
	fmt.Fprintf(b, "member %s %s in %s addresses %v mac %x\n", m.ID, m.Link, m.NS, m.Addresses, m.MAC)
	for _, r := range m.Routes {
		fmt.Fprintf(b, "route %+v\n", r)
	}
	for _, p := range m.Ports {
		fmt.Fprintf(b, "port %+v\n", p)
	}
	if d := c.ResolverOf(a); !d.empty() {
		fmt.Fprintf(b, "dns %+v\n", d)
	}
	for _, note := range c.Notes() {
		fmt.Fprintln(b, "note", note)
	}
	return b.String()
}

func on(flags map[string]bool) (text string) {
	var names []string
	for name, set := range flags {
		if set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		text += ", " + name
	}
	return text
}

func answer(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "not an answer: " + err.Error()
	}
	return fmt.Sprintf("error %d: %s\n", e.Code, e.Error())
}

// TestEnvironment reads environments and standard inputs that get an error, each with the code of the specification.
func TestEnvironment(t *testing.T) {
	b := &strings.Builder{}
	for _, c := range []struct{ env, config string }{
		{"", "{}"},
		{"CNI_COMMAND=BOGUS", "{}"},
		{"CNI_COMMAND=ADD", "{}"},
		{"CNI_COMMAND=DEL CNI_PATH=/x", "{}"},
		{"CNI_COMMAND=DEL CNI_CONTAINERID=-x CNI_IFNAME=eth0 CNI_PATH=/x", "{}"},
		{"CNI_COMMAND=DEL CNI_CONTAINERID=x CNI_IFNAME=sixteen-letters. CNI_PATH=/x", "{}"},
		{"CNI_COMMAND=DEL CNI_CONTAINERID=x CNI_IFNAME=.. CNI_PATH=/x", "{}"},
		{"CNI_COMMAND=GC", "{}"},
		{"CNI_COMMAND=GC CNI_PATH=/x", ""},
		{"CNI_COMMAND=GC CNI_PATH=/x", "{"},
		{"CNI_COMMAND=GC CNI_PATH=/x", "{}"},
		{"CNI_COMMAND=GC CNI_PATH=/x", `{"cniVersion":"1.0.0","name":"n"}`},
		{"CNI_COMMAND=STATUS CNI_PATH=/x", `{"cniVersion":"0.4.0","name":"n"}`},
		{"CNI_COMMAND=STATUS CNI_PATH=/x", `{"cniVersion":"9.9.9","name":"n"}`},
		{"CNI_COMMAND=STATUS CNI_PATH=/x", `{"cniVersion":"1.1.0"}`},
		{"CNI_COMMAND=STATUS CNI_PATH=/x", `{"cniVersion":"1.1.0","name":"a b"}`},
		{"CNI_COMMAND=STATUS CNI_PATH=/x", `{"cniVersion":"1.1.0","name":"n","mtu":"big"}`},
		{"CNI_COMMAND=CHECK CNI_CONTAINERID=x CNI_IFNAME=eth0 CNI_PATH=/x CNI_NETNS=/n",
			`{"cniVersion":"0.3.1","name":"n"}`},
		{"CNI_COMMAND=VERSION", "junk"},
		{"CNI_COMMAND=DEL CNI_CONTAINERID=x CNI_IFNAME=eth0 CNI_PATH=/x", `{"cniVersion":"0.3.1","name":"n"}`},
	} {
		env := map[string]string{}
		for _, pair := range strings.Fields(c.env) {
			key, value, _ := strings.Cut(pair, "=")
			env[key] = value
		}
		fmt.Fprintf(b, "%s %s\n", c.env, c.config)
		read, err := ReadEnv(func(name string) string { return env[name] })
		if err == nil && read.Command != "VERSION" {
			_, err = Parse(read.Command, []byte(c.config))
		}
		if err != nil {
			fmt.Fprintf(b, "    %s", answer(err))
		} else {
			fmt.Fprintln(b, "    ok")
		}
	}
	golden.File(t, "testdata/environment.txt", b.String())
}

// TestResult writes the answer to ADD in each version, alone and after another plugin.
func TestResult(t *testing.T) {
	at := member.Attached{
		Bridge: member.Interface{Name: "cni0", MAC: [6]byte{2, 0, 10, 1, 0, 1}, MTU: 1500},
		Host:   member.Interface{Name: "vn3f", MAC: [6]byte{2, 0, 0, 0, 0, 9}, MTU: 1400},
		Link:   member.Interface{Name: "eth0", MAC: [6]byte{2, 0, 10, 1, 0, 5}, MTU: 1400},
		NS:     "/run/netns/c1",
		Addresses: []member.Address{
			{Prefix: netip.MustParsePrefix("10.1.0.5/24"), Gateway: netip.MustParseAddr("10.1.0.1")},
			{Prefix: netip.MustParsePrefix("fd00::5/64"), Gateway: netip.MustParseAddr("fd00::1")}},
		Routes: []member.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.1.0.1"), MTU: 1300}},
	}
	const prev = `,"prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"lo","mac":"00:00:00:00:00:00","mtu":65536,` +
		`"sandbox":"/run/netns/c1"}],"ips":[{"address":"127.0.0.1/8","interface":0}],"dns":{"nameservers":["9.9.9.9"]}}`
	b := &strings.Builder{}
	for _, version := range versions {
		for _, more := range []string{"", prev} {
			c, err := Parse("ADD", []byte(`{"cniVersion":"`+version+`","name":"n"`+more+`}`))
			if err != nil {
				t.Fatal(err)
			}
			before, err := c.Previous()
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(c.Result(at, Addressing{}, before), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(b, "%s\n", text)
		}
	}
	golden.File(t, "testdata/results.txt", b.String())
}

// TestKeep tells a list of GC that is missing from one that is null.
func TestKeep(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                 "[] false",
		`{"cni.dev/valid-attachments":null}`: "[] true",
		`{"cni.dev/valid-attachments":[]}`:   "[] true",
		`{"cni.dev/attachments":[{"containerID":"c","ifname":"eth0"}]}`: "[{c eth0}] true",
	} {
		var c Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		keep, sent, err := c.Keep()
		if got := fmt.Sprint(keep, sent); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
}

// TestExpected finds the part of a result that CHECK compares, also after a plugin that has added interfaces.
func TestExpected(t *testing.T) {
	const prev = `{"interfaces":[{"name":"eth0"},{"name":"eth0","sandbox":"/n"}],"ips":[{"address":"10.1.0.5/24",` +
		`"interface":1},{"address":"10.9.0.5/24","interface":0},{"address":"10.9.0.6/24"}],"routes":[{"dst":"::/0"}]}`
	c := Config{Prev: []byte(prev)}
	r, err := c.Previous()
	if err != nil {
		t.Fatal(err)
	}
	addresses, routes, err := r.Expected(Env{Link: "eth0"})
	if got := fmt.Sprint(addresses, len(routes), err); got != "[10.1.0.5/24] 1 <nil>" {
		t.Error(got)
	}
	if _, _, err := r.Expected(Env{Link: "eth1"}); err == nil {
		t.Error("an interface that is not in the result: no error")
	}
}

// TestResolvConf reads a resolver file.
func TestResolvConf(t *testing.T) {
	got := ParseResolvConf("# by hand\nnameserver 9.9.9.9\nsearch a b\noptions ndots:2\ndomain c\nlookup\n")
	if want := "{[9.9.9.9] c [a b] [ndots:2]}"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestAbout is what a person sees.
func TestAbout(t *testing.T) {
	if got, want := About("vnet-cni", "v1.2"), "CNI vnet-cni plugin v1.2\nCNI protocol versions supported: "+
		"0.3.1, 0.4.0, 1.0.0, 1.1.0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLongNames makes names that are too long for marks shorter, and leaves the others.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("x", 200)
	c := Config{Name: long}
	d := Config{Name: long + "y"}
	if a, b := c.NetworkName(), d.NetworkName(); len(a) != 48 || a == b || !strings.HasPrefix(a, "cni.xxx") {
		t.Errorf("names of networks: %s, %s", a, b)
	}
	if id := MemberID(long, "eth0"); len(id.Container) != maxContainer {
		t.Errorf("id %s", id.Container)
	}
	if id := MemberID("c1", "eth0"); id.Container != "c1" {
		t.Errorf("id %s", id.Container)
	}
}
