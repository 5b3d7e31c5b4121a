//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// hostEnv makes the test binary behave as the runner. In the guest, its pid or its name
// selects the program.
const hostEnv = "VM_TEST_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(hostEnv) != "" || os.Getpid() == 1 || filepath.Base(os.Args[0]) == "modprobe" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestJob: each program keeps its path. The files of its flags and $GOCOVERDIR are
// outputs. The guest makes their folders: Go does not make $GOCOVERDIR.
func TestJob(t *testing.T) {
	cover := t.TempDir()
	t.Setenv("GOCOVERDIR", cover)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	j, err := newJob([]string{
		"./a.test", "-test.v", "-test.coverprofile=c.out", "-test.outputdir=/out", "-test.cpuprofile=/p",
		"-test.timeout=1m",
		commandSeparator, "/bin/b", "up", commandSeparator, "/bin/c",
	})
	if err != nil {
		t.Fatal(err)
	}
	if j.Dir != dir || len(j.Commands) != 3 || j.Commands[0][0] != filepath.Join(dir, "a.test") ||
		!slices.Equal(j.Commands[1], []string{"/bin/b", "up"}) {
		t.Errorf("%+v", j)
	}
	if want := []string{cover, "/out/c.out", "/p"}; !slices.Equal(j.Outputs, want) {
		t.Errorf("outputs %q, want %q", j.Outputs, want)
	}
	if want := []string{cover, "/out", "/"}; !slices.Equal(j.OutputDirs, want) {
		t.Errorf("output folders %q, want %q", j.OutputDirs, want)
	}
	if _, err := newJob([]string{"/bin/b", commandSeparator, commandSeparator, "/bin/c"}); err == nil {
		t.Error("an empty command is accepted")
	}
}

// TestVerdict: without the last entry there is no verdict, and a machine may send only
// the outputs of its job.
func TestVerdict(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		files  []string
		exit   string
		status int
		bad    bool
	}{
		{[]string{"cover.out", "sub"}, "3", 3, false},
		{nil, "0", 0, false},
		{[]string{"cover.out"}, "", noVerdict, true},
		{[]string{"../elsewhere"}, "0", noVerdict, true},
		{nil, "well", 0, true},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, f := range tt.files {
			if err := send(w, filepath.Join(dir, f), []byte("text")); err != nil {
				t.Fatal(err)
			}
		}
		if tt.exit != "" {
			if err := send(w, exitEntry, []byte(tt.exit)); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		status, err := unpack(&b, []string{dir})
		if status != tt.status || (err != nil) != tt.bad {
			t.Errorf("%+v: %d, %v", tt, status, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "cover.out")); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestModuleFiles: a module, found by name or alias, comes after its dependencies.
func TestModuleFiles(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"modules.dep": "kernel/net/nf_nat.ko: kernel/net/nf_conntrack.ko kernel/lib/libcrc32c.ko\n" +
			"kernel/lib/libcrc32c.ko:\nkernel/drivers/net/ip-vlan.ko.xz:\n",
		"modules.alias": "# aliases\nalias rtnl-link-ipvlan ip_vlan\nalias nft-chain-*-nat nf_nat\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"nf_nat":           "kernel/lib/libcrc32c.ko kernel/net/nf_conntrack.ko kernel/net/nf_nat.ko",
		"nft-chain-2-nat":  "kernel/lib/libcrc32c.ko kernel/net/nf_conntrack.ko kernel/net/nf_nat.ko",
		"rtnl-link-ipvlan": "kernel/drivers/net/ip-vlan.ko.xz",
		"nothing":          "",
	} {
		if files, err := moduleFiles(root, name); err != nil || strings.Join(files, " ") != want {
			t.Errorf("%s: %q, %v", name, files, err)
		}
	}
}

// TestGuestEnv: variables for Go's runtime and the tests are passed to the guest, paths
// of this machine are not.
func TestGuestEnv(t *testing.T) {
	env := guestEnv([]string{
		"GODEBUG=x", "GOCOVERDIR=/c", "GOROOT=/go", "GOFLAGS=-v", "VNET_X=1", "HOME=/me", "PATH=/mine",
	})
	for _, v := range []string{"GODEBUG=x", "GOCOVERDIR=/c", "VNET_X=1", "HOME=/root", "VNET_VM=1"} {
		if !slices.Contains(env, v) {
			t.Errorf("no %s in %q", v, env)
		}
	}
	for _, v := range []string{"GOROOT=/go", "GOFLAGS=-v", "HOME=/me", "PATH=/mine"} {
		if slices.Contains(env, v) {
			t.Errorf("%s in %q", v, env)
		}
	}
}

// vm runs a program in a machine through the runner's command line.
func vm(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{"-cpus", "1"}, args...)...)
	cmd.Env = append(os.Environ(), hostEnv+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func needMachine(t *testing.T) {
	t.Helper()
	if os.Getenv("VNET_VM_KERNEL") == "" {
		t.Skip("no kernel to boot: VNET_VM_KERNEL is not set; test/vm/run.sh sets it")
	}
}

// TestInside is the test that TestBoot runs in its machine.
func TestInside(t *testing.T) {
	status, err := strconv.Atoi(os.Getenv("VNET_TEST_EXIT"))
	if err != nil {
		t.Skip("not in a machine of TestBoot")
	}
	os.Stdout.WriteString("to standard output\n")
	os.Stderr.WriteString("to standard error\n")
	if status != 0 {
		os.Exit(status)
	}
}

// TestBoot: output, exit status, profiles and coverage come back, and -run works.
func TestBoot(t *testing.T) {
	needMachine(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("GOCOVERDIR", "")
	t.Setenv("VNET_TEST_EXIT", "0")
	args := []string{self, "-test.run=^TestInside$", "-test.v", "-test.cpuprofile=" + filepath.Join(dir, "cpu")}
	if testing.CoverMode() != "" {
		args = append(args, "-test.coverprofile="+filepath.Join(dir, "cover"))
	}
	out, errs, status := vm(t, args...)
	if status != 0 || !strings.Contains(out, "to standard output\n") ||
		!strings.Contains(out, "--- PASS: TestInside") ||
		strings.Contains(out, "TestJob") || !strings.Contains(errs, "to standard error\n") {
		t.Errorf("exit %d\n%s\n%s", status, out, errs)
	}
	if info, err := os.Stat(filepath.Join(dir, "cpu")); err != nil || info.Size() == 0 {
		t.Errorf("no profile came back: %v", err)
	}
	if testing.CoverMode() != "" {
		b, err := os.ReadFile(filepath.Join(dir, "cover"))
		if err != nil || !bytes.HasPrefix(b, []byte("mode: ")) || !bytes.Contains(b, []byte("test/vm/guest.go:")) {
			t.Errorf("no coverage came back: %v\n%.200s", err, b)
		}
	}
	t.Setenv("VNET_TEST_EXIT", "7")
	if out, errs, status := vm(t, self, "-test.run=^TestInside$"); status != 7 {
		t.Errorf("exit %d, want 7\n%s\n%s", status, out, errs)
	}
}

// TestBootWithoutVerdict: a machine that runs too long, or whose init cannot start, is a
// failure.
func TestBootWithoutVerdict(t *testing.T) {
	needMachine(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, errs, status := vm(t, "-timeout", "1s", self); status != noVerdict || !strings.Contains(errs, "longer than 1s") {
		t.Errorf("exit %d\n%s", status, errs)
	}
	broken := filepath.Join(t.TempDir(), "init")
	if err := os.WriteFile(broken, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, errs, status := vm(t, "-init", broken, self)
	if status != noVerdict || !strings.Contains(errs, "without a verdict") {
		t.Errorf("exit %d\n%s", status, errs)
	}
}
