package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// The tests compare vnet with the first ip on PATH, of any version. vnet prints what the newest version prints. This
// file lists what older versions print differently; the tests convert vnet's output before they compare it.
//
//	PATH=/opt/iproute2-7.3/bin:$PATH go test ./cmd/vnet -run 'Same|Generated'

// A release is a version of iproute2, such as 7.3 or 6.15.
type release struct{ major, minor int }

func (v release) before(o release) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

func (v release) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// ipRelease returns the version of the ip on PATH.
var ipRelease = sync.OnceValues(func() (v release, err error) {
	out, err := exec.Command("ip", "-V").Output()
	if err != nil {
		return v, err
	}
	_, number, _ := strings.Cut(string(out), "iproute2-")
	_, err = fmt.Sscanf(number, "%d.%d", &v.major, &v.minor)
	return v, err
})

// needIPRelease returns the version to compare with, or skips the test.
func needIPRelease(t *testing.T) release {
	t.Helper()
	needTool(t, "ip")
	v, err := ipRelease()
	if err != nil {
		t.Fatal("ip -V:", err)
	}
	return v
}

// ipChanges lists changes in iproute2's output since a release. The table was made with 6.1, 6.15 and 7.3; the releases
// between were not tested. undo converts the new output to the old one.
var ipChanges = []struct {
	since release
	what  string
	undo  func(string) string
}{
	{release{6, 15}, "addr prints an address's protocol", replace(` proto (?:kernel_(?:lo|ra|ll)|0x[0-9a-f]+) `, ` `)},
	{release{6, 15}, "addr prints an address's protocol in JSON",
		replace(`(?:\n *)?"protocol": ?"(?:kernel_(?:lo|ra|ll)|0x[0-9a-f]+)",`, ``)},
	{release{6, 15}, "one blank less before allmulti", replace(`( promiscuity \d+) allmulti`, `$1  allmulti`)},
	{release{6, 15}, "separate limits for IPv4", without("gso_ipv4_max_size", "gro_ipv4_max_size")},
	{release{6, 15}, "bridges have fdb_n_learned and fdb_max_learned", without("fdb_n_learned", "fdb_max_learned")},
	{release{6, 15}, "bridges have mst_enabled", without("mst_enabled")},
	{release{6, 15}, "rules have masks of ports", replace(`"[sd]port_mask": ?"0x[0-9a-f]+",?(?:\n *)?`, ``)},
	{release{6, 15}, "bridge ports have two more options", without("neigh_vlan_suppress", "mab")},
	{release{6, 15}, "bonds have coupled_control", without("coupled_control")},
	{release{6, 15}, "VXLANs have fewer default options, at the end", undoVXLANs},
	{release{7, 3}, "bond ports have actor_port_prio", without("actor_port_prio")},
	{release{7, 3}, "links have netns-immutable", replace(`netns-immutable |,\s*"netns-immutable": ?true`, ``)},
	{release{7, 3}, "bridges have two more options", without("mdb_offload_fail_notification", "fdb_local_vlan_0")},
	{release{7, 3}, "an unknown background is dark", replace(`\x1b\[1;[39](\d)m`, "\x1b[3${1}m")},
}

// asOlder converts vnet's output to the output of an older ip.
func asOlder(v release, printed string) string {
	for _, n := range ipChanges {
		if v.before(n.since) {
			printed = n.undo(printed)
		}
	}
	return printed
}

func replace(pattern, by string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(s string) string { return re.ReplaceAllString(s, by) }
}

// without removes values from text and JSON.
func without(names ...string) func(string) string {
	any := strings.Join(names, "|")
	return replace(`\b(?:`+any+`) \w+ |,\s*"(?:`+any+`)": ?\w+`, ``)
}

// since removes "since RELEASE" from a line. supported is false if ip is older.
func (v release) since(t *testing.T, line string) (rest string, supported bool) {
	t.Helper()
	after, ok := strings.CutPrefix(line, "since ")
	if !ok {
		return line, true
	}
	var first release
	number, rest, _ := strings.Cut(after, " ")
	if _, err := fmt.Sscanf(number, "%d.%d", &first.major, &first.minor); err != nil {
		t.Fatalf("%q: no release of iproute2", line)
	}
	return rest, !v.before(first)
}
