package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAsIP calls vnet by the name ip: the version is one that programs can parse, and a command line without a command
// ends with ip's exit code.
func TestAsIP(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ip := filepath.Join(t.TempDir(), "ip")
	if err := os.Symlink(self, ip); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for _, option := range []string{"-V", "-Version", "--V"} {
		if r := w.run(ip, option); r.Status != 0 || !strings.HasPrefix(r.Stdout, "ip utility, iproute2-7.3.0, ") {
			t.Errorf("ip %s: %+v", option, r)
		}
	}
	if r := w.run("vnet", "-V"); r.Status != 0 || !strings.HasPrefix(r.Stdout, "vnet ") {
		t.Errorf("vnet -V: %+v", r)
	}
	for _, line := range []string{"", "-4", "-6", "-j", "help", "-help", "-4 help", "help link"} {
		by, our := w.run(append([]string{"ip"}, strings.Fields(line)...)...), w.run(append([]string{ip},
			strings.Fields(line)...)...)
		if our.Status != by.Status || our.Stdout != "" || our.Stderr == "" {
			t.Errorf("called as ip: %q: %+v\nip: %+v", line, our, by)
		}
		if r := w.run(append([]string{"vnet"}, strings.Fields(line)...)...); r.Status != 0 || r.Stdout == "" {
			t.Errorf("vnet %s: %+v", line, r)
		}
	}
	by, our, own := w.run("ip", "nosuch"), w.run(ip, "nosuch"), w.run("vnet", "nosuch")
	if by.Status != exitFailed || our.Status != by.Status || own.Status != exitUsage {
		t.Errorf("an unknown object: ip exits with %d, called as ip %d, as vnet %d", by.Status, our.Status, own.Status)
	}
}

// TestKindHelp asks for the options of a kind in each way that ip has. The texts differ, the exit codes do not.
func TestKindHelp(t *testing.T) {
	needTool(t, "ip")
	w := newWorld(t)
	for line, word := range map[string]string{
		"link help veth": "peer", "link help bridge": "[vlan_filtering]", "link help vxlan": "[dstport]",
		"link help macvlan": "[bcqueuelen]", "link help bond": "[miimon]", "link help vlan": "[egress-qos-map]",
		"link help bridge_slave": "[isolated]", "link help nope": "vnet link [show]", "link help": "vnet link [show]",
		"link add type veth help": "peer", "link add v0 type bridge help": "[stp_state]",
		"link add v0 type vxlan id 5 help": "[group]", "link add v0 type vxlan he": "[group]",
		"link add v0 type macvlan mode bridge help": "[mode]", "link set v0 type bridge_slave help": "[cost]",
		"link add v0 type nope help": "vnet link [show]", "link add help": "vnet link [show]",
		"link del v0 type bridge help": "[stp_state]",
	} {
		args := strings.Fields(line)
		by, our := w.run(append([]string{"ip"}, args...)...), w.run(append([]string{"vnet"}, args...)...)
		if our.Status != by.Status || !strings.Contains(our.Stdout+our.Stderr, word) ||
			(our.Status == 0) != (our.Stdout != "") {
			t.Errorf("%s: %+v, want %q\nip: %d", line, our, word, by.Status)
		}
	}
}
