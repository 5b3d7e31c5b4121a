package words

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNetns checks each command and its abbreviations.
func TestNetns(t *testing.T) {
	for _, tt := range []struct {
		lines string // one per line
		all   bool
		want  NetnsCommand
	}{
		{"\nlist\nl\nls\nsh\nshow\nlst", false, NetnsCommand{Verb: "list"}},
		{"add red\na red", false, NetnsCommand{Verb: "add", Name: "red"}},
		{"del red\nd red\ndelete red", false, NetnsCommand{Verb: "delete", Name: "red"}},
		{"del", true, NetnsCommand{Verb: "delete"}},
		{"set red 5\nset red 0x5", false, NetnsCommand{Verb: "set", Name: "red", NSID: 5}},
		{"set red 2147483647", false, NetnsCommand{Verb: "set", Name: "red", NSID: 1<<31 - 1}},
		{"attach red 2147483647", false, NetnsCommand{Verb: "attach", Name: "red", PID: 1<<31 - 1}},
		{"list-id target-nsid 2147483647", false, NetnsCommand{Verb: "list-id", Target: 1<<31 - 1}},
		{"list-id nsid 2147483647", false, NetnsCommand{Verb: "list-id", NSID: 1<<31 - 1}},
		{"add " + strings.Repeat("a", 255), false, NetnsCommand{Verb: "add", Name: strings.Repeat("a", 255)}},
		{"set red auto", false, NetnsCommand{Verb: "set", Name: "red"}},
		{"attach red 1\natt red 1", false, NetnsCommand{Verb: "attach", Name: "red", PID: 1}},
		{"identify\ni", false, NetnsCommand{Verb: "identify"}},
		{"identify 17", false, NetnsCommand{Verb: "identify", PID: 17}},
		{"pids red\np red", false, NetnsCommand{Verb: "pids", Name: "red"}},
		{"exec red ip link del v0\ne red ip link del v0", false,
			NetnsCommand{Verb: "exec", Name: "red", Argv: []string{"ip", "link", "del", "v0"}}},
		{"exec red vnet -n blue exec a/b", false,
			NetnsCommand{Verb: "exec", Name: "red", Argv: []string{"vnet", "-n", "blue", "exec", "a/b"}}},
		{"exec ../x y", true, NetnsCommand{Verb: "exec", Argv: []string{"../x", "y"}}},
		{"list-id", false, NetnsCommand{Verb: "list-id"}},
		{"list-i nsid 4 target-nsid 3\nlist-id target-nsid 3 nsid 4", false,
			NetnsCommand{Verb: "list-id", NSID: 4, Target: 3}},
		{"monitor\nm", false, NetnsCommand{Verb: "monitor"}},
		{"help\nh", false, NetnsCommand{Verb: "help"}},
	} {
		// In the table, 0 stands for -1, which means no id.
		if tt.want.NSID == 0 {
			tt.want.NSID = -1
		}
		if tt.want.Target == 0 {
			tt.want.Target = -1
		}
		for _, line := range strings.Split(tt.lines, "\n") {
			w := Of(strings.Fields(line))
			if diff := cmp.Diff(tt.want, w.Netns(tt.all)); diff != "" || w.Err != nil {
				t.Errorf("netns %s: %v, -want +got\n%s", line, w.Err, diff)
			}
		}
	}
}

func TestNetnsMistakes(t *testing.T) {
	for _, tt := range []struct {
		words  []string
		want   string
		status int
	}{
		{[]string{"ad"}, "the name of the namespace is missing", 1},
		{[]string{"add", ""}, `"" is not a valid name for a network namespace`, 0},
		{[]string{"add", "."}, `"." is not a valid name for a network namespace`, 0},
		{[]string{"add", ".."}, `".." is not a valid name for a network namespace`, 0},
		{[]string{"add", "a/b"}, `"a/b" is not a valid name for a network namespace`, 0},
		{[]string{"add", strings.Repeat("a", 256)},
			`"` + strings.Repeat("a", 256) + `" is not a valid name for a network namespace`, 0},
		{[]string{"del"}, "the name of the namespace is missing", 1},
		{[]string{"set", "red"}, "the id is missing", 1},
		{[]string{"set", "red", "some"}, `"some" is not a valid id for a namespace`, 0},
		{[]string{"set", "red", "2147483648"}, `"2147483648" is not a valid id for a namespace`, 0},
		{[]string{"attach", "red"}, "the process id is missing", 1},
		{[]string{"attach", "red", "0"}, `"0" is not a process id`, 1},
		{[]string{"identify", "me"}, `"me" is not a process id`, 1},
		{[]string{"identify", "1", "2"}, `unexpected argument "2"`, 1},
		{[]string{"pids"}, "the name of the namespace is missing", 1},
		{[]string{"pids", "red", "blue"}, `unexpected argument "blue"`, 1},
		{[]string{"exec"}, "the name of the namespace is missing", 1},
		{[]string{"exec", "..", "true"}, `".." is not a valid name for a network namespace`, 0},
		{[]string{"exec", "red"}, "the program is missing", 1},
		{[]string{"list-id", "nsid"}, `"nsid" needs a value`, 0},
		{[]string{"list-id", "nsdi", "4"}, `word "nsdi" is unknown`, 0},
		{[]string{"list-id", "nsid", "2147483648"}, `nsid "2147483648" is not a number up to 2147483647`, 0},
		{[]string{"list-id", "target-nsid", "2147483648"},
			`target-nsid "2147483648" is not a number up to 2147483647`, 0},
		{[]string{"attach", "red", "2147483648"}, `"2147483648" is not a process id`, 1},
		{[]string{"attach"}, "the name and the process id are missing", 1},
		{[]string{"set"}, "the name of the namespace is missing", 1},
		{[]string{"remove", "red"}, `netns command "remove" is unknown`, 0},
	} {
		w := Of(tt.words)
		w.Netns(false)
		e, ok := w.Err.(*Error)
		if !ok || e.Text != tt.want || e.Status != tt.status {
			t.Errorf("netns %q: %#v\nwant %q, %d", tt.words, w.Err, tt.want, tt.status)
		}
	}
}
