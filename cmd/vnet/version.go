package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// The linker sets these when a package is built; see packaging/build. They are empty otherwise.
var (
	builtVersion string // the tag, such as v0.1.0
	builtCommit  string // the commit, 40 hexadecimal digits
)

// iproute2 is the release of iproute2 whose syntax and output vnet follows. CONTRIBUTING.md says how it is tested.
const iproute2 = "7.3.0"

func versionObject() *object {
	return &object{
		name: "version", usage: "print the version, the commit and the Go release it was built with", help: `
vnet version

Prints one line: the version, the commit if it is known, and the Go release. The same as
vnet -Version.
`,
		run: (*session).version,
	}
}

// version prints the version.
func (s *session) version(args []string) error {
	if len(args) == 1 && args[0] == "help" {
		return s.objectHelp(versionObject())
	}
	if len(args) > 0 {
		return words.Errorf("version takes no arguments, but %q follows", args[0])
	}
	info, _ := debug.ReadBuildInfo()
	line := versionLine(builtVersion, builtCommit, info)
	if s.asIP { // programs look for the release of iproute2 in ip's version
		line = "ip utility, iproute2-" + iproute2 + ", " + line
	}
	_, err := fmt.Fprintln(s.out, line)
	return err
}

// versionAlone is the version without the commit.
func versionAlone() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(builtVersion, info.Main.Version, "(devel)")
	}
	return cmp.Or(builtVersion, "(devel)")
}

// versionLine returns the line that version prints. What the linker did not set comes from the build information, which
// can be nil: go install sets the version of the module, and go build in a clone the commit.
func versionLine(version, revision string, info *debug.BuildInfo) string {
	if info == nil {
		info = new(debug.BuildInfo)
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			revision = cmp.Or(revision, setting.Value)
		}
	}
	if revision != "" {
		revision = " commit " + revision
	}
	return "vnet " + cmp.Or(version, info.Main.Version, "(devel)") + revision + " " + runtime.Version()
}
