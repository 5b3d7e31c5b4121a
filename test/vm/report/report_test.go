package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// events makes a run from lines ACTION PACKAGE TEST OUTPUT.
func events(t *testing.T, kernel string, lines ...string) run {
	t.Helper()
	var text strings.Builder
	for _, line := range lines {
		f := append(strings.SplitN(line, " ", 4), "", "")
		text.WriteString(`{"Action":"` + f[0] + `","Package":"` + module + "/" + f[1] +
			`","Test":"` + f[2] + `","Output":"` + f[3] + `"}` + "\n")
	}
	r, err := readRun(kernel, strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReadRun: readRun returns the results with their output. It ignores output of the
// compiler, and rejects a run without results.
func TestReadRun(t *testing.T) {
	r, err := readRun("6.1", strings.NewReader(`# github.com/vnet-lab/vnet/nft
{"Action":"run","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestB"}
{"Action":"output","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestB","Output":"one\n"}
{"Action":"output","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestB","Output":"two\n"}
{"Action":"fail","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestB"}
{"Action":"pass","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestA/x"}
{"Action":"skip","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestC"}
{"Action":"fail","Package":"github.com/vnet-lab/vnet/rtnl"}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []test{
		{"rtnl", "fail", "", true}, {"rtnl.TestA/x", "pass", "", false},
		{"rtnl.TestB", "fail", "one\ntwo\n", false}, {"rtnl.TestC", "skip", "", false},
	}
	if len(r.tests) != len(want) {
		t.Fatalf("%+v", r.tests)
	}
	for i := range want {
		if r.tests[i] != want[i] {
			t.Errorf("%+v, want %+v", r.tests[i], want[i])
		}
	}
	if got := r.summary(); got != "6.1: 1 passed, 1 failed, 1 skipped" {
		t.Error(got)
	}
	if _, err := readRun("6.1", strings.NewReader("build failed\n")); err == nil {
		t.Error("a run without results is accepted")
	}
}

// TestCheck: failures are problems, and so are skips that no line allows for this
// kernel, test and output.
func TestCheck(t *testing.T) {
	allowed, err := parseAllowedSkips("# why\n\n5\\.10\trtnl\\.TestOld\tno such option\n" +
		"[^-]+ .*/thousand\\.yaml -short|thousands\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kernel, line, words string
		want                int
	}{
		{"6.1", "pass rtnl TestOld", "", 0},
		{"6.1", "fail rtnl TestOld", "", 1},
		{"6.1", "fail rtnl", "", 1},
		{"6.1", "skip rtnl", "", 0}, // a package without tests
		{"5.10", "skip rtnl TestOld", "this kernel has no such option", 0},
		{"5.10", "skip rtnl TestOld", "no ip on this machine", 1},
		{"5.10", "skip rtnl TestOlder", "no such option", 1},
		{"5.100", "skip rtnl TestOld", "no such option", 1},
		{"6.1", "skip topo TestLaw/thousand.yaml", "it takes a while: -short", 0},
		{"6.1-without-nat", "skip topo TestLaw/thousand.yaml", "it takes a while: -short", 1},
	} {
		lines := []string{tt.line}
		if tt.words != "" {
			lines = []string{"output" + tt.line[4:] + " " + tt.words, tt.line}
		}
		problems := check(events(t, tt.kernel, lines...), allowed)
		if len(problems) != tt.want {
			t.Errorf("%s on %s: %q", tt.line, tt.kernel, problems)
		}
		for _, c := range problems {
			named := strings.HasPrefix(c, tt.kernel+": rtnl") || strings.HasPrefix(c, tt.kernel+": topo")
			if !named || !strings.Contains(c, tt.words) {
				t.Errorf("problem %q", c)
			}
		}
	}
	for _, bad := range []string{"6.1 rtnl.TestOld", "6.1 ( words", "6.1 rtnl.TestOld wor)ds"} {
		if _, err := parseAllowedSkips("# a comment\n" + bad); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestTable: a feature works if one of its tests passed and none failed; runs of one
// kernel are one column; a feature without tests in any run is an error.
func TestTable(t *testing.T) {
	features, err := parseFeatures("# rows\n\nvlan\trtnl\\.TestVLAN\nnat\tnft\\.Test.*\nnetem\trtnl\\.TestNetem\n" +
		"without NAT\tcmd\\.TestWithoutNAT\n")
	if err != nil {
		t.Fatal(err)
	}
	runs := []run{
		events(t, "5.10", "skip rtnl TestVLAN", "pass nft TestA", "fail nft TestB", "skip rtnl TestNetem",
			"skip cmd TestWithoutNAT"),
		events(t, "5.10-without-nat", "pass cmd TestWithoutNAT"),
		events(t, "6.1", "pass rtnl TestVLAN", "pass nft TestA", "skip nft TestB", "pass rtnl TestVLANs"),
	}
	const want = `| | 5.10 | 6.1 |
|---|:-:|:-:|
| vlan | – | yes |
| nat | no | yes |
| netem | – | ? |
| without NAT | yes | ? |
`
	if got, err := table(features, runs); err != nil || got != want {
		t.Errorf("%v, got:\n%s", err, got)
	}
	features[2].name, features[2].tests = "vrf", regexp.MustCompile("^rtnl.TestVRF$")
	if _, err := table(features, runs); err == nil || !strings.Contains(err.Error(), "vrf") {
		t.Errorf("a feature without tests: %v", err)
	}
	for _, bad := range []string{"no tab", "name\t("} {
		if _, err := parseFeatures("\n" + bad); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestReport reads files, writes a page, and returns an error if a test failed.
func TestReport(t *testing.T) {
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("6.1.json", `{"Action":"pass","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestVLAN"}`)
	bad := write("6.12.json", `{"Action":"fail","Package":"github.com/vnet-lab/vnet/rtnl","Test":"TestVLAN"}`)
	skips, features := write("skips.txt", ""), write("features.txt", "vlan\trtnl\\.TestVLAN\n")
	page := write("README.md", "# top\n"+begin+"old\n"+end+"bottom\n")
	if err := report(skips, "", "", []string{good}); err != nil {
		t.Error(err)
	}
	if err := report(skips, "", "", []string{good, bad}); err == nil || err.Error() != "1 problems" {
		t.Errorf("error of a failed run: %v", err)
	}
	if err := report("", features, page, []string{good, bad}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const want = "# top\n" + begin + "\n| | 6.1 | 6.12 |\n|---|:-:|:-:|\n| vlan | yes | no |\n\n" + end + "bottom\n"
	if string(got) != want {
		t.Errorf("got:\n%s", got)
	}
	if err := report("", features, write("plain.md", "no markers\n"), []string{good}); err == nil {
		t.Error("a page without markers is accepted")
	}
	if err := report(skips, "", "", []string{filepath.Join(t.TempDir(), "none.json")}); err == nil {
		t.Error("a missing run is accepted")
	}
}

// TestOwnFiles: features.txt and skips.txt are valid.
func TestOwnFiles(t *testing.T) {
	features, err := os.ReadFile("../features.txt")
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := parseFeatures(string(features)); err != nil || len(rows) == 0 {
		t.Errorf("%d features, %v", len(rows), err)
	}
	skips, err := os.ReadFile("../skips.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseAllowedSkips(string(skips)); err != nil {
		t.Error(err)
	}
}
