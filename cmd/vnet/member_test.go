package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestMembers attaches two namespaces by hand, lists them, and removes them and the network.
func TestMembers(t *testing.T) {
	w := newWorld(t)
	w.must("vnet", "netns", "add", "red")
	w.must("vnet", "netns", "add", "blue")
	before := w.must("ip", "link")
	w.must("vnet", "attach", "web", "--netns", "red", "--subnet", "10.77.0.0/24", "--subnet", "fd00:77::/64", "--nat",
		"--port", "8080:80", "--port", "127.0.0.1:5353:53/udp")
	attached := w.must("vnet", "attach", "web", "--netns", "blue", "--id", "second", "--address", "10.77.0.9", "--json")
	var blue memberJSON
	if err := json.Unmarshal([]byte(attached), &blue); err != nil {
		t.Fatal(err)
	}
	if blue.ID != "second" || blue.Dev != "eth0" || blue.MAC != "02:76:0a:4d:00:09" || len(blue.Addresses) != 2 ||
		blue.Addresses[0] != (addressJSON{"10.77.0.9/24", "10.77.0.1"}) || len(blue.Routes) != 2 {
		t.Errorf("%s", attached)
	}
	var list []memberJSON
	if err := json.Unmarshal([]byte(w.must("vnet", "members", "web", "-j")), &list); err != nil || len(list) != 2 ||
		strings.Join(list[0].Ports, " ") != "8080:80 127.0.0.1:5353:53/udp" {
		t.Errorf("%v: %+v", err, list)
	}
	if text := w.must("vnet", "members", "web"); !strings.Contains(text, "second  eth0") {
		t.Error(text)
	}
	if ls := w.must("vnet", "ls"); ls != "" {
		t.Errorf("a network is not a lab: %s", ls)
	}
	nat := w.run("vnet", "nat", "add", "dnat", "-p", "tcp", "--dport", "8080", "--to-destination", "10.9.9.9:80")
	if !strings.Contains(nat.Stderr, "network web already forwards this port") {
		t.Errorf("%+v", nat)
	}
	w.must("vnet", "nat", "flush")
	if r := w.run("vnet", "attach", "web", "--netns", "red"); !strings.Contains(r.Stderr, "already attached") {
		t.Errorf("%+v", r)
	}
	if r := w.run("vnet", "attach", "web", "--netns", "red", "--id", "third", "--isolate"); r.Status != 255 ||
		!strings.Contains(r.Stderr, "hint: also give --subnet 10.77.0.0/24 --subnet fd00:77::/64\n") {
		t.Errorf("the network loses its subnets: %+v", r)
	}
	if r := w.run("vnet", "attach", "web", "--netns", "red", "--id", "third"); !strings.Contains(r.Stderr,
		"the namespace already has a link eth0") || !strings.Contains(r.Stderr, "hint: --dev LINK") {
		t.Errorf("%+v", r)
	}
	if r := w.run("vnet", "attach", "web", "--netns", "rde"); !strings.Contains(r.Stderr, `did you mean "red"?`) {
		t.Errorf("%+v", r)
	}
	if r := w.run("vnet", "detach", "web"); r.Stderr != "vnet: error: network web: it still has members\n"+
		"vnet: hint: vnet members web lists them\n" {
		t.Errorf("%+v", r)
	}
	for _, words := range []string{"web red", "web second", "web second", "web", "web"} {
		w.must(append([]string{"vnet", "detach"}, strings.Fields(words)...)...)
	}
	attached = w.must("vnet", "attach", "web", "--netns", "red", "--subnet", "10.77.0.0/24", "--id", "x\x1b[31m",
		"--dev", "e\x1b[0m")
	if text := attached + w.must("vnet", "members", "web"); strings.ContainsRune(text, '\x1b') {
		t.Errorf("%q", text)
	}
	w.must("vnet", "detach", "web", "x\x1b[31m", "--dev", "e\x1b[0m")
	w.must("vnet", "detach", "web")
	if after := w.must("ip", "link"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
