package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/live"
)

// fakes are the tools of remedies, for a root directory: they change files in it.
const fakes = `#!/bin/sh
case ${0##*/} in
sysctl) echo "${2#*=}" >"$ROOT/proc/sys/$(echo "${2%%=*}" | tr . /)" ;;
esac
`

// A machineCase is a file of a machine, what doctor says about it with the lab, and the file after the remedy.
var machineCases = []struct {
	topic    string
	files    map[string]string // what is wrong
	fine     map[string]string // almost the same, without a finding
	contains string            // in the text
	remedy   string            // the first command
}{
	{"user-namespaces", files("/proc/sys/user/max_user_namespaces", "0"), files("/proc/sys/user/max_user_namespaces", "9"),
		"vnet sandbox", "sysctl -w user.max_user_namespaces=15000"},
	{"user-namespaces", files("/proc/sys/kernel/unprivileged_userns_clone", "0"),
		files("/proc/sys/kernel/unprivileged_userns_clone", "1"), "vnet sandbox",
		"sysctl -w kernel.unprivileged_userns_clone=1"},
	{"user-namespaces", files("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
		files("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0"), "vnet sandbox",
		"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
	{"conntrack", files("/proc/sys/net/netfilter/nf_conntrack_max", "1000",
		"/proc/sys/net/netfilter/nf_conntrack_count", "900"),
		files("/proc/sys/net/netfilter/nf_conntrack_max", "1000", "/proc/sys/net/netfilter/nf_conntrack_count", "500"),
		"nearly full", "sysctl -w net.netfilter.nf_conntrack_max=2048"},
	{"neighbours", files("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "40"),
		files("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "1024"), "60 neighbour entries",
		"sysctl -w net.ipv4.neigh.default.gc_thresh3=1024"},
	{"neighbours", files("/proc/sys/net/ipv6/neigh/default/gc_thresh3", "40"),
		files("/proc/sys/net/ipv6/neigh/default/gc_thresh3", "60"), "60 neighbour entries",
		"sysctl -w net.ipv6.neigh.default.gc_thresh3=1024"},
	{"backlog", files("/proc/sys/net/core/netdev_max_backlog", "29"), files("/proc/sys/net/core/netdev_max_backlog", "30"),
		"30 hosts", "sysctl -w net.core.netdev_max_backlog=1024"},
	{"NetworkManager", files("/run/NetworkManager/x", "", "/etc/NetworkManager/conf.d/a.conf",
		"[keyfile]\nunmanaged-devices=interface-name:docker*\n"),
		files("/run/NetworkManager/x", "", "/etc/NetworkManager/conf.d/a.conf",
			"[keyfile]\nunmanaged-devices=interface-name:docker*;interface-name:lan;interface-name:h*-eth0\n"),
		"links of the lab: lan, h1-eth0", "printf "},
	{"NetworkManager", files("/run/NetworkManager/x", ""),
		files("/etc/NetworkManager/conf.d/a.conf", ""), "lan", "printf "},
	{"networkd", files("/run/systemd/netif/x", "", "/etc/systemd/network/50-all.network",
		"[Match]\nType=ether\n[Network]\nDHCP=yes\n"),
		files("/run/systemd/netif/x", "", "/etc/systemd/network/50-all.network",
			"[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n"),
		"by /etc/systemd/network/50-all.network: ", "printf "},
	{"networkd", files("/run/systemd/netif/x", "", "/usr/lib/systemd/network/50-all.network", "[Match]\nName=lan\n"),
		files("/run/systemd/netif/x", "", "/usr/lib/systemd/network/50-all.network", "[Match]\nName=lan\n",
			"/etc/systemd/network/40-mine.network", "[Match]\nName=l*\n[Link]\nUnmanaged=yes\n"), ": lan", "printf "},
}

func files(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

const bigLab = "name: big\nnetworks: {lan: {}}\nhosts: {h: {repeat: 30, networks: [lan]}}"

// TestFiles provokes each finding that depends on files, runs its remedy, and looks again. A machine that differs a
// little has no finding.
func TestFiles(t *testing.T) {
	_, want := labtest.Compiled(t, bigLab)
	for _, tt := range machineCases {
		t.Run(tt.topic+" "+tt.contains, func(t *testing.T) {
			e := Examination{Lab: "big", Want: want, Root: rootWith(t, tt.fine)}
			if got := topics(t, e, tt.topic); len(got) > 0 {
				t.Errorf("without a reason: %v", got)
			}
			e.Root = rootWith(t, tt.files)
			found := topics(t, e, tt.topic)
			if len(found) != 1 || !strings.Contains(found[0].Text, tt.contains) ||
				!strings.HasPrefix(found[0].Remedy[0], tt.remedy) {
				t.Fatalf("%v", found)
			}
			mend(t, e.Root, found[0])
			if got := topics(t, e, tt.topic); len(got) > 0 {
				t.Errorf("after the remedy: %v", got)
			}
		})
	}
}

// TestUdev: udev changes MAC addresses by the first file that fits veth pairs. A lab is not concerned.
func TestUdev(t *testing.T) {
	e := Examination{Root: rootWith(t, files("/run/udev/control", "", "/usr/lib/systemd/network/10-disk.link",
		"[Match]\nPath=pci-*\n[Link]\nMACAddressPolicy=none\n", "/usr/lib/systemd/network/99-default.link",
		"[Match]\nOriginalName=*\n\n[Link]\nMACAddressPolicy=persistent\n"))}
	found := topics(t, e, "udev")
	if len(found) != 1 || !strings.Contains(found[0].Text, "/usr/lib/systemd/network/99-default.link") {
		t.Fatalf("%v", found)
	}
	forLab := e
	_, forLab.Want = labtest.Compiled(t, bigLab)
	if got := topics(t, forLab, "udev"); len(got) > 0 {
		t.Errorf("for a lab: %v", got)
	}
	mend(t, e.Root, found[0])
	if got := topics(t, e, "udev"); len(got) > 0 {
		t.Errorf("after the remedy: %v", got)
	}
}

// rootWith makes a directory with files, and with those directories that every machine has.
func rootWith(t *testing.T, list map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"/etc/systemd/network", "/etc/NetworkManager/conf.d"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range list {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// mend runs a remedy. With a root directory, sysctl and the programs that read their configuration again are fakes, and
// files of the remedy are in that directory.
func mend(t *testing.T, root string, f Finding) {
	t.Helper()
	for _, command := range f.Remedy {
		cmd := exec.Command("sh", "-ec", command)
		if root != "" {
			bin := t.TempDir()
			for _, tool := range []string{"sysctl", "nmcli", "networkctl"} {
				if err := os.WriteFile(filepath.Join(bin, tool), []byte(fakes), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd = exec.Command("sh", "-ec", strings.ReplaceAll(command, ">/etc/", ">"+root+"/etc/"))
			cmd.Env = append(os.Environ(), "ROOT="+root, "PATH="+bin+":"+os.Getenv("PATH"))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
}

// topics returns the findings about a topic.
func topics(t *testing.T, e Examination, topic string) []Finding {
	t.Helper()
	all, err := e.Run()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(f Finding) bool { return f.Topic != topic })
}

func shell(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// TestReversePath: strict rp_filter is found where there are default routes by two links.
func TestReversePath(t *testing.T) {
	labtest.NeedIP(t)
	for _, args := range []string{"link add up1 type veth peer name up2", "link set up1 up", "link set up2 up",
		"addr add 10.8.1.1/24 dev up1", "addr add 10.8.2.1/24 dev up2", "route add default via 10.8.1.2"} {
		labtest.IP(t, args)
	}
	defer labtest.IP(t, "link del up1")
	shell(t, "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.up1.rp_filter=0 net.ipv4.conf.up2.rp_filter=1")
	if got := topics(t, Examination{}, "rp_filter"); len(got) > 0 {
		t.Errorf("with one default route: %v", got)
	}
	labtest.IP(t, "route add default via 10.8.2.2 metric 9")
	found := topics(t, Examination{}, "rp_filter")
	if len(found) != 1 || !strings.Contains(found[0].Text, "strict on up2") {
		t.Fatalf("%v", found)
	}
	mend(t, "", found[0])
	if got := topics(t, Examination{}, "rp_filter"); len(got) > 0 {
		t.Errorf("after the remedy: %v", got)
	}
	shell(t, "sysctl -qw net.ipv4.conf.all.rp_filter=0; ip link set up2 down; ip link set up2 name up2.7; "+
		"ip link set up2.7 up; ip route add default via 10.8.2.2 metric 9")
	found = topics(t, Examination{}, "rp_filter")
	if len(found) != 1 || !strings.Contains(found[0].Text, "strict on up2.7") {
		t.Errorf("with a dot in the name: %v", found)
	}
}

// TestReadOnly: settings that a lab needs and that cannot be written are found: those of the machine, of its new links,
// of hosts and of their links. A lab that needs none is not concerned.
func TestReadOnly(t *testing.T) {
	_, routed := labtest.Compiled(t, "name: a\nnetworks: {n: {subnets: [10.1.0.0/24], nat: true}}\n"+
		"hosts: {h: {networks: [n]}}")
	_, alone := labtest.Compiled(t, "name: b\nhosts: {h: {sysctls: {net.ipv4.ip_forward: 0}}}")
	if err := unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount("/proc/sys", unix.MNT_DETACH)
	if err := unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip("no read-only mount here: ", err)
	}
	if got := topics(t, Examination{Want: alone}, "read-only"); len(got) > 0 {
		t.Errorf("for a lab without settings: %v", got)
	}
	found := topics(t, Examination{Want: routed}, "read-only")
	if len(found) != 1 || !strings.Contains(found[0].Text, "net.ipv4.ip_forward=1") {
		t.Fatalf("%v", found)
	}
	for text, needs := range map[string]string{
		"networks: {lan: {}}":                                 "net.ipv6.conf.default.accept_dad=0 (it is 1); a",
		"hosts: {h: {sysctls: {net.ipv4.ip_forward: 1}}}":     "net.ipv4.ip_forward=1 (it is 0) in h",
		"hosts: {h: {}, k: {}}\nlinks: [{endpoints: [h, k]}]": "net.ipv6.conf.default.accept_dad=0 (it is 1) in h",
	} {
		_, want := labtest.Compiled(t, "name: c\n"+text)
		if got := topics(t, Examination{Want: want}, "read-only"); len(got) != 1 || !strings.Contains(got[0].Text, needs) {
			t.Errorf("%s: %v", text, got)
		}
	}
	mend(t, "", found[0])
	if got := topics(t, Examination{Want: routed}, "read-only"); len(got) > 0 {
		t.Errorf("after the remedy: %v", got)
	}
	// With the right value, a read-only mount is no finding, nor is one of which this part is writable.
	readOnly := func(dir string, flags uintptr) {
		if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.default.accept_ra=0")
	readOnly("/proc/sys", unix.MS_RDONLY)
	if got := topics(t, Examination{Want: routed}, "read-only"); len(got) > 0 {
		t.Errorf("with the right value: %v", got)
	}
	readOnly("/proc/sys", 0)
	shell(t, "sysctl -qw net.ipv4.ip_forward=0")
	if err := unix.Mount("/proc/sys/net", "/proc/sys/net", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount("/proc/sys/net", unix.MNT_DETACH)
	readOnly("/proc/sys", unix.MS_RDONLY)
	if got := topics(t, Examination{Want: routed}, "read-only"); len(got) > 0 {
		t.Errorf("with a writable mount: %v", got)
	}
	readOnly("/proc/sys", 0)
}

// TestReadOnlyFiles: a directory for the hosts' /etc that cannot be written is found, also one that does not exist.
func TestReadOnlyFiles(t *testing.T) {
	_, want := labtest.Compiled(t, "name: a\nhosts: {h: {}}")
	for _, dir := range []string{nsfs.EtcDir, "/etc"} {
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Skip("no read-only mount here: ", err)
		}
		if got := topics(t, Examination{}, "read-only"); len(got) > 0 {
			t.Errorf("without a lab: %v", got)
		}
		found := topics(t, Examination{Want: want}, "read-only")
		text := dir + " is read-only, and the lab needs /etc/netns/h/"
		if len(found) != 1 || !strings.HasPrefix(found[0].Text, text) {
			t.Fatalf("%v", found)
		}
		mend(t, "", found[0])
		if got := topics(t, Examination{Want: want}, "read-only"); len(got) > 0 {
			t.Errorf("after the remedy: %v", got)
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenFiles: a limit of open files that is too small for the lab is found. The remedy is for a shell, here one that
// has this process as its parent.
func TestOpenFiles(t *testing.T) {
	var had unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &had); err != nil {
		t.Fatal(err)
	}
	_, want := labtest.Compiled(t, bigLab)
	low := unix.Rlimit{Cur: 128, Max: had.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &had)
	found := topics(t, Examination{Want: want}, "open-files")
	if len(found) != 1 || !strings.Contains(found[0].Text, "the limit is 128") {
		t.Fatalf("%v", found)
	}
	if got := topics(t, Examination{}, "open-files"); len(got) > 0 {
		t.Errorf("without a lab: %v", got)
	}
	found[0].Remedy[0] = strings.ReplaceAll(found[0].Remedy[0], "$$", "$PPID")
	if had.Max < 65536 {
		t.Skip("only root may raise the limit")
	}
	mend(t, "", found[0])
	if got := topics(t, Examination{Want: want}, "open-files"); len(got) > 0 {
		t.Errorf("after the remedy: %v", got)
	}
}

// TestFeatures: what the kernel lacks for the lab is found, with the modules that may have it.
func TestFeatures(t *testing.T) {
	_, want := labtest.Compiled(t, "name: a\nhosts: {h: {devices: {v: {type: dummy}, w: {type: vlan, parent: v, id: 5}}}}")
	missing, err := live.MissingFeatures(nil)
	if missing != nil || err != nil {
		t.Errorf("for nothing: %v, %v", missing, err)
	}
	for _, f := range topics(t, Examination{Want: want}, "kernel") {
		for _, command := range f.Remedy {
			if !slices.Contains([]string{"modprobe dummy", "modprobe 8021q"}, command) {
				t.Errorf("%s: %s", f.Text, command)
			}
		}
	}
}
