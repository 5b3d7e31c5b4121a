package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// completionCases are command lines and candidates for their last word. A candidate with ! must not be offered.
var completionCases = []struct{ line, want string }{
	{"vnet ", "netns link address route rule neighbour nat up verify completion help"},
	{"vnet ne", "netns neighbor neighbour !link"},
	{"vnet -", "-netns -json -batch"},
	{"vnet -n ", "completered completeblue !netns"},
	{"vnet -n complete", "completered completeblue"},
	{"vnet -family ", "inet inet6"},
	{"vnet netns ", "add del exec list"},
	{"vnet netns exec ", "completered completeblue"},
	{"vnet netns del completer", "completered !completeblue"},
	{"vnet link set ", "completebr dev"},
	{"vnet -n completered link set ", "completeend !completebr"},
	{"vnet li set complete", "completebr !dev"},
	{"vnet addr add 10.0.0.1/24 dev ", "completebr lo"},
	{"vnet addr add 10.0.0.1/24 ", "dev label"},
	{"vnet link add x type ve", "veth !bridge"},
	{"vnet link set completebr master ", "completebr"},
	{"vnet link set completebr netns ", "completered"},
	{"vnet nat add ", "masquerade dnat snat"},
	{"vnet verify --j", "--json --junit"},
	{"vnet exec ", "completered completelab/host machine"},
	{"vnet down ", "completelab"},
	{"vnet help ", "cheatsheet nat"},
	{"vnet completion ", "bash fish zsh"},
}

// prepareCompletion makes the objects that the cases complete.
func prepareCompletion(t *testing.T) {
	t.Helper()
	file := t.TempDir() + "/vnet.yaml"
	if err := os.WriteFile(file, []byte("name: completelab\nhosts: {host: {}}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"netns add completered", "netns add completeblue", "link add completebr type bridge",
		"link add completein type veth peer name completeend netns completered", "up " + file,
	} {
		must(t, line)
		t.Cleanup(func() {
			if undo, ok := map[string]string{"netns": "netns del ", "link": "link del "}[strings.Fields(line)[0]]; ok {
				must(t, undo+strings.Fields(line)[2])
			}
		})
	}
	t.Cleanup(func() { must(t, "down completelab") })
}

// must runs vnet and fails the test if vnet fails.
func must(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("vnet", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		t.Fatalf("vnet %s: %v\n%s", line, err, out)
	}
	return string(out)
}

// TestCompletionOfFiles checks that each script completes files for the commands that take a lab file.
func TestCompletionOfFiles(t *testing.T) {
	for _, shell := range shells {
		script, err := completions.ReadFile("completion/vnet." + shell)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.FieldsFunc(string(script), func(r rune) bool { return r < 'a' || r > 'z' })
		for _, o := range objects() {
			if strings.Contains(o.help, "vnet "+o.name+" [FILE") && !slices.Contains(words, o.name) {
				t.Errorf("%s does not complete files for vnet %s", shell, o.name)
			}
		}
	}
}

// TestCompletion completes command lines in real shells with the scripts that vnet completion prints.
func TestCompletion(t *testing.T) {
	prepareCompletion(t)
	for _, shell := range append(slices.Clone(shells), "zsh-fpath") {
		t.Run(shell, func(t *testing.T) {
			program, _, _ := strings.Cut(shell, "-")
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("no %s on this machine", program)
			}
			for _, tt := range completionCases {
				got := completeIn(t, shell, tt.line)
				for _, want := range strings.Fields(tt.want) {
					not, never := strings.CutPrefix(want, "!")
					if slices.Contains(got, not) == never {
						t.Errorf("%q: %s in %q", tt.line, want, got)
					}
				}
			}
		})
	}
}

// drivers are scripts that print a shell's candidates for the line in $LINE.
var drivers = map[string]string{
	"bash": `source <(vnet completion bash)
		read -ra COMP_WORDS <<<"$LINE"
		[[ $LINE == *" " ]] && COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_vnet
		printf '%s\n' "${COMPREPLY[@]}"`,
	"zsh": `compdef() { }
		compadd() { shift; print -l -- "$@" }
		_files() { }
		source <(vnet completion zsh)
		words=(${(s: :)LINE})
		[[ $LINE == *" " ]] && words+=("")
		CURRENT=${#words}
		_vnet`,
	// as a package installs it, in a folder of fpath
	"zsh-fpath": `compadd() { shift; print -l -- "$@" }
		_files() { }
		vnet completion zsh >$HOME/_vnet
		fpath=($HOME)
		autoload -Uz _vnet
		words=(${(s: :)LINE})
		[[ $LINE == *" " ]] && words+=("")
		CURRENT=${#words}
		_vnet`,
	"fish": `vnet completion fish | source; complete -C $LINE`,
}

func completeIn(t *testing.T, shell, line string) (offered []string) {
	t.Helper()
	program, _, _ := strings.Cut(shell, "-")
	cmd := exec.Command(program, "-c", drivers[shell])
	cmd.Env = append(os.Environ(), "LINE="+line, "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s, %q: %v", shell, line, err)
	}
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		word, _, _ := strings.Cut(l, "\t") // fish appends a description
		offered = append(offered, word)
	}
	return offered
}

// TestCompletionNeverComplains checks that completion reports no errors, whatever the words before are.
func TestCompletionNeverComplains(t *testing.T) {
	for _, line := range [][]string{
		{}, {""}, {"", ""}, {"-n"}, {"-n", "nowhere", "link", "set", ""}, {"-frobnicate", ""}, {"frobnicate", ""},
		{"link", "", ""},
		{"help", "x", ""}, {"-batch", ""}, {"--", ""}, {"exec", "a", "b", ""}, {"verify", "--junit", ""},
	} {
		cmd := exec.Command("vnet", append(line, completeFlag)...)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "vnet:") {
			t.Errorf("%q: %v\n%s", line, err, out)
		}
	}
}

func TestCompletionOfNoShell(t *testing.T) {
	for _, args := range [][]string{{"completion"}, {"completion", "csh"}, {"completion", "bash", "zsh"}} {
		out, err := exec.Command("vnet", args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "bash, fish, zsh") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}
