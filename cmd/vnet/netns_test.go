package main

import (
	"strings"
	"testing"
)

// TestNetnsMistakes runs wrong commands. Each prints one line with the object and the reason, and sometimes a hint.
// Nothing changes.
func TestNetnsMistakes(t *testing.T) {
	w := newWorld(t)
	w.must("vnet", "netns", "add", "red")
	w.must("sh", "-c", "touch /run/netns/stale; mkdir /run/netns/folder; touch /run/outside")
	before := w.must("ls", "-l", "/run", "/run/netns")
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"netns", "add"}, 1, "vnet: error: the name of the namespace is missing\nvnet: hint: vnet netns help\n"},
		{[]string{"netns", "add", ""}, 255, "vnet: error: \"\" is not a valid name for a network namespace\n"},
		{[]string{"netns", "add", "../outside"}, 255,
			"vnet: error: \"../outside\" is not a valid name for a network namespace\n"},
		{[]string{"netns", "add", long}, 255, "vnet: error: \"" + long + "\" is not a valid name for a network namespace\n"},
		{[]string{"netns", "add", "-x"}, 1, "vnet: error: not a name for a network namespace: \"-x\" begins with a dash\n"},
		{[]string{"netns", "add", "a b"}, 1, "vnet: error: not a name for a network namespace: \"a b\" contains ' '\n"},
		{[]string{"netns", "add", "red"}, 1, "vnet: error: create network namespace file /run/netns/red: file exists\n"},
		{[]string{"netns", "add", "stale"}, 1, "vnet: error: create network namespace file /run/netns/stale: file exists\n"},
		{[]string{"netns", "del", "rde"}, 1,
			"vnet: error: there is no network namespace \"rde\"\nvnet: hint: did you mean \"red\"?\n"},
		{[]string{"netns", "del", "../outside"}, 255,
			"vnet: error: \"../outside\" is not a valid name for a network namespace\n"},
		{[]string{"netns", "del", "folder"}, 1,
			"vnet: error: remove network namespace file /run/netns/folder: is a directory\n"},
		{[]string{"netns", "exec", "bleu", "true"}, 255,
			"vnet: error: there is no network namespace \"bleu\"\nvnet: hint: vnet netns lists the namespaces; vnet netns " +
				"add bleu adds it\n"},
		{[]string{"netns", "exec", "stale", "true"}, 255,
			"vnet: error: open network namespace /run/netns/stale: not a network namespace\n"},
		{[]string{"netns", "exec", "red", "no-such-program"}, 1,
			"vnet: error: exec: \"no-such-program\": executable file not found in $PATH\n"},
		{[]string{"netns", "exec", "red"}, 1, "vnet: error: the program is missing\nvnet: hint: vnet netns help\n"},
		{[]string{"netns", "pids", "stale"}, 1,
			"vnet: error: open network namespace /run/netns/stale: not a network namespace\n"},
		{[]string{"netns", "lsit"}, 255,
			"vnet: error: netns command \"lsit\" is unknown\nvnet: hint: did you mean \"list\"?\n"},
		{[]string{"netns", "set", "red", "x"}, 255,
			"vnet: error: \"x\" is not a valid id for a namespace\nvnet: hint: the id is auto or a number\n"},
		{[]string{"netns", "attach", "blue", "x"}, 1, "vnet: error: \"x\" is not a process id\n"},
		{[]string{"netns", "attach", "blue", "999999999"}, 1,
			"vnet: error: open network namespace /proc/999999999/ns/net: no such file or directory\n"},
		{[]string{"route", "add", "default", "via", "10.0.0.1"}, 2,
			"vnet: error: add route default via 10.0.0.1: Nexthop has invalid gateway (network is unreachable)\n"},
		{[]string{"route", "add", "10/8", "dev", "loo"}, 1,
			"vnet: error: there is no link \"loo\"\nvnet: hint: did you mean \"lo\"?\n"},
		{[]string{"route", "del", "10/8"}, 2, "vnet: error: delete route 10.0.0.0/8: no such process\n"},
		{[]string{"route", "flush"}, 1,
			"vnet: error: what to flush?\nvnet: hint: vnet route flush table all deletes all routes\n"},
	} {
		r := w.run(append([]string{"vnet"}, tt.args...)...)
		if r.Status != tt.status || r.Stderr != tt.want || r.Stdout != "" {
			t.Errorf("vnet %.60q: exit %d, want %d\n got %s%s\nwant %s", tt.args, r.Status, tt.status, r.Stdout, r.Stderr,
				tt.want)
		}
	}
	if after := w.must("ls", "-l", "/run", "/run/netns"); after != before {
		t.Errorf("files before:\n%safter:\n%s", before, after)
	}
}

// TestNetnsExecInBatch checks that a batch runs programs one after another and continues after each.
func TestNetnsExecInBatch(t *testing.T) {
	w := newWorld(t)
	r := w.run("sh", "-c",
		`printf 'netns add red\nnetns exec red sh -c "echo $PPID >/dev/null; cat /sys/class/net/lo/ifindex"\n`+
			`netns exec red false\nnetns list\n' | vnet -force -batch -`)
	if r.Status != 1 || r.Stdout != "1\nred\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", r.Status, r.Stdout, r.Stderr)
	}
}

// TestNetnsStale checks that a name without a namespace is listed with a note.
func TestNetnsStale(t *testing.T) {
	w := newWorld(t)
	w.must("vnet", "netns", "add", "red")
	w.must("touch", "/run/netns/old")
	r := w.run("vnet", "netns")
	want := "vnet: note: old is stale: the name has no namespace; vnet netns del old removes it\n"
	if r.Status != 0 || r.Stderr != want || len(strings.Fields(r.Stdout)) != 2 {
		t.Errorf("exit %d, stdout %q, stderr %q", r.Status, r.Stdout, r.Stderr)
	}
	w.must("vnet", "netns", "del", "old")
	if got := w.must("vnet", "netns"); got != "red\n" {
		t.Errorf("left: %q", got)
	}
}
