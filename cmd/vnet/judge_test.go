package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// The judge of ip's words is the ip that is found first on PATH, of whichever
// version; vnet itself follows the newest that there is. What an older one prints
// otherwise is listed here, and taken back in what vnet printed before the two are
// compared: so either can be the judge, and neither is believed without a reason.
//
//	PATH=/opt/iproute2-7.3/bin:$PATH go test ./cmd/vnet -run 'Same|Generated'

// A release is iproute2's, as 7.3 or 6.15.
type release struct{ major, minor int }

func (v release) before(o release) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

func (v release) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// judge is the version of the ip on PATH.
var judge = sync.OnceValues(func() (v release, err error) {
	out, err := exec.Command("ip", "-V").Output()
	if err != nil {
		return v, err
	}
	_, number, _ := strings.Cut(string(out), "iproute2-")
	_, err = fmt.Sscanf(number, "%d.%d", &v.major, &v.minor)
	return v, err
})

// needJudge is the version to compare with, or the end of the test.
func needJudge(t *testing.T) release {
	t.Helper()
	needTool(t, "ip")
	v, err := judge()
	if err != nil {
		t.Fatal("ip -V:", err)
	}
	return v
}

// news is what iproute2 prints otherwise since a release. The table was made with
// 6.1, 6.15 and 7.3: nobody has asked those between. Undo makes of the new what was
// printed before.
var news = []struct {
	since release
	what  string
	undo  func(string) string
}{
	{release{6, 15}, "addr tells who made an address", replace(` proto (?:kernel_(?:lo|ra|ll)|0x[0-9a-f]+) `, ` `)},
	{release{6, 15}, "addr tells who made an address, in JSON", replace(`(?:\n *)?"protocol": ?"(?:kernel_(?:lo|ra|ll)|0x[0-9a-f]+)",`, ``)},
	{release{6, 15}, "a blank less before allmulti", replace(`( promiscuity \d+) allmulti`, `$1  allmulti`)},
	{release{6, 15}, "limits of IPv4 of its own", without("gso_ipv4_max_size", "gro_ipv4_max_size")},
	{release{6, 15}, "bridges tell how much they learned", without("fdb_n_learned", "fdb_max_learned")},
	{release{6, 15}, "bridges tell of MST", without("mst_enabled")},
	{release{6, 15}, "ports of bridges tell more", without("neigh_vlan_suppress", "mab")},
	{release{6, 15}, "bonds tell of coupled control", without("coupled_control")},
	{release{6, 15}, "VXLANs tell less of what is usual, and at the end", undoVXLANs},
	{release{7, 3}, "ports of bonds tell their priority", without("actor_port_prio")},
	{release{7, 3}, "links tell that they cannot be moved", replace(`netns-immutable |,\s*"netns-immutable": ?true`, ``)},
	{release{7, 3}, "bridges tell of two options more", without("mdb_offload_fail_notification", "fdb_local_vlan_0")},
	{release{7, 3}, "an unknown background is dark", replace(`\x1b\[1;[39](\d)m`, "\x1b[3${1}m")},
}

// asOlder makes of what vnet printed what an older judge would print.
func asOlder(v release, printed string) string {
	for _, n := range news {
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

// without takes values out, of the text and of JSON.
func without(names ...string) func(string) string {
	any := strings.Join(names, "|")
	return replace(`\b(?:`+any+`) \w+ |,\s*"(?:`+any+`)": ?\w+`, ``)
}

// since takes "since RELEASE" off a line; judged is false if the judge is older.
func (v release) since(t *testing.T, line string) (rest string, judged bool) {
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
