package main

import (
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersionLine(t *testing.T) {
	installed := &debug.BuildInfo{Main: debug.Module{Version: "v0.3.0"}}
	clone := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "c0ffee"}}}
	for want, got := range map[string]string{
		"v1.2.3 commit beef":    versionLine("v1.2.3", "beef", clone),
		"v0.3.0":                versionLine("", "", installed),
		"(devel) commit c0ffee": versionLine("", "", clone),
		"(devel)":               versionLine("", "", nil),
	} {
		if want = "vnet " + want + " " + runtime.Version(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestVersion runs the command. .ci/packages checks what it prints in a package.
func TestVersion(t *testing.T) {
	want := regexp.MustCompile(`^vnet \S+( commit [0-9a-f]{40})? go1\.\S+\n$`)
	for _, option := range []string{"version", "-V", "-Version"} {
		out, err := exec.Command("vnet", option).CombinedOutput()
		if err != nil || !want.Match(out) {
			t.Errorf("vnet %s: %v %q", option, err, out)
		}
	}
	if out, err := exec.Command("vnet", "version", "x").CombinedOutput(); err == nil {
		t.Errorf("vnet version x: %q", out)
	}
}
