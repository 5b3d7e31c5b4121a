package topo

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/display"
)

// noNAT is the NATScript for states without NAT.
var noNAT = NATScript{
	Rules: func(string, []Object, []Object) (string, error) { return "", nil },
	Guard: func(bool) string { return "" },
}

// runScript runs a script in an empty directory, with functions for ip and the other tools
// that only print their arguments.
func runScript(t *testing.T, script string) (printed, dir string) {
	t.Helper()
	dir = t.TempDir()
	tools := ""
	for _, tool := range []string{"ip", "bridge", "tc", "sysctl", "stat", "touch", "mount", "setsid", "nft"} {
		tools += tool + "() { printf '<%s>' " + tool + ` "$@"; echo; case "$*" in
*-batch*) cat ;;
*-o*) echo ' vnet:lab:port=m@x' 'vnet:lab:net.ipv4.conf.a$(id>z).rp_filter=1' ;;
esac; }` + "\n"
	}
	cmd := exec.Command("sh", "-c", tools+script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, script)
	}
	return string(out), dir
}

// Words with control characters are the same for the shell, and have none in the script.
func TestScriptWithoutControlCharacters(t *testing.T) {
	for _, s := range []string{"a\x1b[31m", "\x07it's 100% \\033 $(id)`id`\"", "\xff\u009b\n1", "-n\r"} {
		word := shellWord(s)
		if display.Escape(word) != word {
			t.Errorf("%q is the word %q", s, word)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+word).CombinedOutput()
		if err != nil || string(out) != s {
			t.Errorf("the shell reads %s as %q, %v; want %q", word, out, err, s)
		}
	}
}

// The kernel allows names of links that a shell would execute.
func TestScriptQuotesNames(t *testing.T) {
	const evil = "a$(id>z)`b`;c"
	link := Link{NS: "", Name: evil, Master: "x&y", AltName: "'q'"}
	far := Link{NS: "red", Name: "$HOME"}
	state := State{}
	for _, o := range []Object{
		Namespace{Name: "red"}, Namespace{Name: "box", From: "/proc/1/$(id>z)"},
		Bridge{Link: Link{Name: "x&y"}}, Veth{[2]Link{link, far}}, Up{"", evil},
		Dummy{Link: Link{Name: "d>d"}}, VLAN{Link: Link{Name: "v|v"}, Parent: evil, ID: 7}, Port{"", "e$(id>z)", "x&y"},
		Address{"", evil, netip.MustParsePrefix("10.0.0.1/24")},
		Sysctl{"", "net.ipv4.conf.a$(id>z).rp_filter", "2"}, Process{"red", "echo $HOME; id > z2"},
	} {
		state.Put(o)
	}
	for name, plan := range map[string]Plan{"up": Diff(nil, state), "down": Diff(state, nil)} {
		have := State{}
		if name == "down" {
			have = state
		}
		script, err := plan.Commands("lab", have, noNAT)
		if err != nil {
			t.Fatal(err)
		}
		printed, dir := runScript(t, script)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s: the shell created %v, %v from\n%s", name, left, err, script)
		}
		if !strings.Contains(printed, evil) {
			t.Errorf("%s: the name is missing:\n%s", name, printed)
		}
	}
}

// TestShellWord: only words with characters that are special to a shell are quoted.
func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"azAZ09": "azAZ09", "a+b,c-d.e/f:g=h@i_j": "a+b,c-d.e/f:g=h@i_j", "": "''", "a b": "'a b'", "it's": `'it'\''s'`,
		"[": "'['", "{": "'{'", "`": "'`'", "é": "'é'", "\x7f~": `"$(printf '\177~')"`, "\x1b -": `"$(printf '\033 -')"`,
	} {
		if got := shellWord(word); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", word, got, want)
		}
	}
}

// TestScriptError: the script is not written if the rules cannot be.
func TestScriptError(t *testing.T) {
	nat := noNAT
	nat.Rules = func(string, []Object, []Object) (string, error) { return "", errors.New("no rules") }
	plan := Diff(nil, NewState(Isolation{"", "a", "b"}, Sysctl{"", "net.a", "1"}))
	if script, err := plan.Commands("lab", nil, nat); err == nil || script != "" {
		t.Errorf("%v, %s", err, script)
	}
}
