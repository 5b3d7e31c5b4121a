package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCapabilities runs commands with exactly the capabilities that the help names. Without one of them the command
// fails, and the hint names that one.
func TestCapabilities(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("no setpriv on this machine")
	}
	file := filepath.Join(t.TempDir(), "lab.yaml")
	const lab = `
name: caps
networks: {lan: {subnets: [10.9.0.0/24], nat: true}}
hosts: {red: {networks: [lan], ports: ["8080:80"]}, blue: {networks: [lan]}}
expect: ["red -> blue: ping", "red -> blue: tcp 80", "red -> blue: tcp 8080"]
`
	if err := os.WriteFile(file, []byte(lab), 0o600); err != nil {
		t.Fatal(err)
	}
	const prepare, clean = "vnet up " + "FILE" + "; vnet netns add box", "vnet down caps; vnet netns del box"
	const netAdmin, sysAdmin, netRaw, bind = "net_admin", "sys_admin", "net_raw", "net_bind_service"
	w := newWorld(t)
	for _, tt := range []struct {
		command string
		needs   []string
	}{
		{"nat add masquerade -s 10.7.0.0/24", []string{netAdmin}},
		{"nat flush", []string{netAdmin}},
		{"link add name new type bridge", []string{netAdmin}},
		{"addr add 10.8.0.1/24 dev lo", []string{netAdmin}},
		{"route add blackhole 10.8.0.0/16", []string{netAdmin}},
		{"rule add from 10.8.0.0/16 prohibit", []string{netAdmin}},
		{"neigh add 10.9.0.9 lladdr 2:0:0:0:0:9 dev lan", []string{netAdmin}},
		{"-n box link set lo up", []string{netAdmin, sysAdmin}},
		{"netns add new", []string{sysAdmin}},
		{"netns del box", []string{sysAdmin}},
		{"netns exec box true", []string{sysAdmin}},
		{"netns set box 7", []string{netAdmin}},
		{"exec red true", []string{sysAdmin}},
		{"plan FILE", []string{netAdmin, sysAdmin}},
		{"up FILE", []string{netAdmin, sysAdmin}},
		{"status caps", []string{netAdmin, sysAdmin}},
		{"down caps", []string{netAdmin, sysAdmin}},
		{"verify FILE", []string{sysAdmin, netRaw, bind}},
	} {
		run := func(caps []string) result {
			w.must("sh", "-c", strings.ReplaceAll(prepare, "FILE", file))
			defer w.run("sh", "-c", clean+"; vnet netns del new; vnet link del new; vnet nat flush; vnet -force -batch - <<E\n"+
				"addr del 10.8.0.1/24 dev lo\nroute del 10.8.0.0/16\nrule del from 10.8.0.0/16\nE")
			if strings.HasPrefix(tt.command, "up") {
				w.must("vnet", "down", "caps")
			}
			set := strings.Join(append([]string{"-all"}, caps...), ",+")
			args := append([]string{"setpriv", "--bounding-set=" + set, "--inh-caps=-all", "vnet"}, fields(tt.command)...)
			for i, a := range args {
				if a == "FILE" {
					args[i] = file
				}
			}
			return w.run(args...)
		}
		if r := run(tt.needs); r.Status != 0 {
			t.Errorf("vnet %s with %v: exit %d: %s%s", tt.command, tt.needs, r.Status, r.Stderr, r.Stdout)
		}
		for _, missing := range tt.needs {
			rest := slices.DeleteFunc(slices.Clone(tt.needs), func(c string) bool { return c == missing })
			r := run(rest)
			hint := "vnet: hint: this needs CAP_" + strings.ToUpper(missing) + ":"
			if r.Status == 0 || !strings.Contains(r.Stderr, hint) {
				t.Errorf("vnet %s with only %v: exit %d\n%s", tt.command, rest, r.Status, r.Stderr)
			}
		}
	}
}

// TestWithoutRights runs the commands that need no rights: ls lists names of labs, and plan and status show a lab
// that is not up. They do not say of a lab that is up that it is not.
func TestWithoutRights(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("no setpriv on this machine")
	}
	w := newWorld(t)
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		text := "name: " + name + "\nhosts: {" + name + "-red: {}}\n"
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := strings.NewReplacer("one.yaml", dir+"/one.yaml", "two.yaml", dir+"/two.yaml").Replace
	w.must("vnet", "up", file("one.yaml"))
	for _, tt := range []struct {
		command        string
		status         int
		stdout, stderr string // contained in the output
	}{
		{"ls", 0, "one  -      -      -\n", ""},
		{"ls --json", 0, `[{"lab":"one"}]`, ""},
		{"plan two.yaml", 0, "+ netns two-red\n", "note: without root's rights"},
		{"plan --down two.yaml", 0, "nothing to do", "note: without root's rights"},
		{"status two.yaml", exitDrift, "lab two: not up\n", ""},
		{"plan one.yaml", 1, "", "hint: this needs CAP_NET_ADMIN and CAP_SYS_ADMIN"},
		{"status one", 1, "", "hint: this needs CAP_NET_ADMIN and CAP_SYS_ADMIN"},
		{"status", 1, "", "hint: this needs CAP_NET_ADMIN and CAP_SYS_ADMIN"},
		{"up two.yaml", 1, "", "hint: this needs CAP_NET_ADMIN and CAP_SYS_ADMIN"},
	} {
		args := append([]string{"setpriv", "--bounding-set=-all", "--inh-caps=-all", "vnet"}, fields(file(tt.command))...)
		r := w.run(args...)
		if r.Status != tt.status || !strings.Contains(r.Stdout, tt.stdout) || !strings.Contains(r.Stderr, tt.stderr) {
			t.Errorf("vnet %s: exit %d, want %d\n%s%s", tt.command, r.Status, tt.status, r.Stdout, r.Stderr)
		}
	}
}

// TestInstalledWithRights checks that vnet does not run with rights from its own file, which it would give to every
// program that it runs. With rights from its caller it runs.
func TestInstalledWithRights(t *testing.T) {
	w := newWorld(t)
	for _, tool := range []string{"setpriv", "setcap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine", tool)
		}
	}
	if r := w.run("setpriv", "--reuid", "65534", "true"); r.Status != 0 {
		t.Skip("only one user ID is mapped")
	}
	w.must("sh", "-c", `mkdir /run/bin; cp "$(command -v vnet)" /run/bin/vnet; chmod 755 /run/bin/vnet`)
	for _, tt := range []struct{ prepare, want string }{
		{"chmod 4755 /run/bin/vnet", "a set-user-ID bit"},
		{"chmod 2755 /run/bin/vnet", "a set-group-ID bit"},
		{"chmod 755 /run/bin/vnet; setcap cap_net_admin+ep /run/bin/vnet", "file capabilities"},
		{"setcap -r /run/bin/vnet", ""},
	} {
		w.must("sh", "-c", tt.prepare)
		r := w.run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=+net_admin",
			"--ambient-caps=+net_admin", "/run/bin/vnet", "link", "set", "lo", "up")
		if tt.want == "" && r.Status != 0 || tt.want != "" && (r.Status == 0 || !strings.Contains(r.Stderr, tt.want)) {
			t.Errorf("after %s: exit %d: %s", tt.prepare, r.Status, r.Stderr)
		}
	}
}

// TestSharedSysctlHint: the hint for a sysctl that a network namespace does not have, or only shows, does not speak of
// users and their rights.
func TestSharedSysctlHint(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "/proc/sys/net/core/rmem_max", Err: unix.EACCES},
			"this network namespace only shows net.core.rmem_max; if it belongs to the whole machine, " +
				"remove it from the lab, and set it there: sysctl -w net.core.rmem_max=VALUE"},
		{&fs.PathError{Op: "open", Path: "/proc/sys/net/ipv4/tcp_mem", Err: unix.ENOENT},
			"this network namespace does not have net.ipv4.tcp_mem; if it belongs to the whole machine, " +
				"remove it from the lab, and set it there: sysctl -w net.ipv4.tcp_mem=VALUE"},
		{&fs.PathError{Op: "write", Path: "/proc/sys/net/ipv4/tcp_ecn", Err: unix.EINVAL}, ""},
		{&fs.PathError{Op: "write", Path: "/proc/sys/net/ipv4/tcp_congestion_control", Err: unix.ENOENT}, ""},
		{&fs.PathError{Op: "open", Path: "/run/vnet/lab", Err: unix.ENOENT}, ""},
	} {
		if hint := (&session{}).hintOf(tt.err); hint != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, hint, tt.want)
		}
	}
}
