package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ciPrograms are stand-ins for the programs that would change the machine. They write their words into a log.
var ciPrograms = []string{"dpkg", "make", "go", "install", "apparmor_parser", "sysctl"}

// A ciRunner runs the commands of contrib/'s CI files as a runner does, with vnet itself and with stand-ins.
type ciRunner struct {
	*world
	dir string
}

func newCIRunner(t *testing.T) ciRunner {
	t.Helper()
	r := ciRunner{newWorld(t), t.TempDir()}
	r.must("vnet", "link", "set", "lo", "up")
	programs := map[string]string{"sudo": `exec "$@"`}
	for _, name := range ciPrograms {
		programs[name] = fmt.Sprintf(`echo %s "$@" >>%s/log`, name, r.dir)
	}
	for name, text := range programs {
		r.program(name, text)
	}
	r.write("lab.yaml", "name: ci\nhosts: {red: {}, blue: {}}\nlinks:\n"+
		"  - {endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30]}\nexpect:\n  - red -> blue: ping\n")
	return r
}

// program writes a script for the shell of this machine, which need not be in /bin.
func (r ciRunner) program(name, text string) {
	r.t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		r.t.Skip("no sh on this machine")
	}
	r.write(name, "#!"+sh+"\n"+text+"\n")
}

func (r ciRunner) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// script runs a script with variables, and returns its output and the words of the stand-ins.
func (r ciRunner) script(text string, variables ...string) (result, string) {
	r.t.Helper()
	r.write("script", text)
	r.write("log", "")
	args := append([]string{"env"}, variables...)
	got := r.run(append(args, "sh", "-ec", fmt.Sprintf("cd %s; PATH=%[1]s:$PATH; export PATH; . ./script", r.dir))...)
	log, err := os.ReadFile(filepath.Join(r.dir, "log"))
	if err != nil {
		r.t.Fatal(err)
	}
	return got, string(log)
}

// wantScript runs a script that must succeed and call the stand-ins with these words.
func (r ciRunner) wantScript(text, words string, variables ...string) string {
	r.t.Helper()
	got, log := r.script(text, variables...)
	if got.Status != 0 || strings.TrimSpace(log) != words {
		r.t.Errorf("%s\nexit %d: %s%s\ncalled %s\nwant   %s", text, got.Status, got.Stdout, got.Stderr, log, words)
	}
	return got.Stdout
}

func readCI(t *testing.T, file string, to any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../contrib", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

// TestGitHubAction runs the steps of the action.
func TestGitHubAction(t *testing.T) {
	var action struct {
		Runs struct {
			Steps []struct {
				Name, Shell, Run string
				Env              map[string]string
			}
		}
	}
	readCI(t, "github/setup-vnet/action.yml", &action)
	steps := action.Runs.Steps
	if len(steps) != 3 {
		t.Fatalf("%d steps", len(steps))
	}
	for _, s := range steps {
		if s.Shell != "sh" || strings.Contains(s.Run, "${{") {
			t.Errorf("%s: %s, %s", s.Name, s.Shell, s.Run)
		}
	}
	r := newCIRunner(t)
	r.wantScript(steps[0].Run, "dpkg -i vnet.deb", "PACKAGE=vnet.deb")
	r.wantScript(steps[0].Run, "make -C src build OUT=/tmp/x/vnet\ninstall -m 755 /tmp/x/vnet /usr/bin/vnet", "PACKAGE=",
		"SOURCE=src", "RUNNER_TEMP=/tmp/x")
	r.wantScript(steps[1].Run, "", "SOURCE=src")
	// Where the first vnet sandbox fails, the step installs the profile and tries again.
	r.program("vnet", "[ -s log ]")
	r.wantScript(steps[1].Run, "install -m 644 src/packaging/apparmor/vnet /etc/apparmor.d/vnet\n"+
		"apparmor_parser -r /etc/apparmor.d/vnet", "SOURCE=src")
	r.program("vnet", "exit 1")
	r.wantScript(steps[2].Run, "", "STRICT=false")
	if got, _ := r.script(steps[2].Run, "STRICT=true"); got.Status == 0 {
		t.Error("strict, and the step does not fail")
	}
}

// TestGitLabJob runs the commands of the job for labs.
func TestGitLabJob(t *testing.T) {
	type job struct {
		Extends   string
		Before    []string `yaml:"before_script"`
		Script    []string
		Variables map[string]string
	}
	var jobs map[string]job
	readCI(t, "gitlab/vnet.yml", &jobs)
	labs := jobs[".vnet-labs"]
	base := jobs[labs.Extends]
	text := strings.Join(append(base.Before, labs.Script...), "\n")
	r := newCIRunner(t)
	out := r.wantScript(text, "go install github.com/vnet-lab/vnet/cmd/vnet@v1", "VNET_VERSION=v1")
	r.contains("1 fact holds", out)
	r.wantScript(text, "dpkg -i a.deb", "VNET_PACKAGE=a.deb")
	r.write("lab.yaml", "name: ci\nhosts: {red: {}, blue: {}}\nexpect: [red -> blue: ping]\n")
	if got, _ := r.script(text, "VNET_LABS=lab.yaml"); got.Status == 0 {
		t.Error("a fact does not hold, and the job does not fail")
	}
}

// TestWoodpeckerStep runs the commands of the step.
func TestWoodpeckerStep(t *testing.T) {
	var file struct {
		Steps []struct {
			Commands    []string
			Environment map[string]string
		}
	}
	readCI(t, "woodpecker/vnet.yml", &file)
	step := file.Steps[0]
	var variables []string
	for name, value := range step.Environment {
		variables = append(variables, name+"="+value)
	}
	r := newCIRunner(t)
	commands := strings.Join(step.Commands, "\n")
	out := r.wantScript(commands, "go install github.com/vnet-lab/vnet/cmd/vnet@latest", variables...)
	r.contains("1 fact holds", out)
}
