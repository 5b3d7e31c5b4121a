//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// written are the flags of a test binary that name something it writes; see
// go help testflag.
var written = map[string]bool{
	"coverprofile": true, "gocoverdir": true, "cpuprofile": true, "memprofile": true, "blockprofile": true,
	"mutexprofile": true, "trace": true, "testlogfile": true,
}

// and stands between the commands of one machine.
const and = "--and"

// newJob is what to do for a command line: each program under its own absolute
// name, here. What it writes by its flags or into $GOCOVERDIR comes back.
func newJob(args []string) (job, error) {
	dir, err := os.Getwd()
	if err != nil {
		return job{}, err
	}
	j := job{Dir: dir}
	if cover := os.Getenv("GOCOVERDIR"); cover != "" {
		j.Back = append(j.Back, abs(dir, cover))
	}
	for len(args) > 0 {
		command := args
		if i := slices.Index(args, and); i >= 0 {
			command, args = args[:i], args[i+1:]
		} else {
			args = nil
		}
		if len(command) == 0 {
			return job{}, errors.New("no program beside " + and)
		}
		j.Back = append(j.Back, profiles(dir, command[1:])...)
		j.Commands = append(j.Commands, append([]string{abs(dir, command[0])}, command[1:]...))
	}
	for _, path := range j.Back {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			j.Folders = append(j.Folders, path)
		} else {
			j.Folders = append(j.Folders, filepath.Dir(path))
		}
	}
	return j, nil
}

// profiles are the paths that the flags of a test binary name.
func profiles(dir string, args []string) []string {
	var paths []string
	for _, arg := range args {
		name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name, test := strings.CutPrefix(name, "test."); test && ok && value != "" {
			switch {
			case name == "outputdir":
				dir = value
			case written[name]:
				paths = append(paths, value)
			}
		}
	}
	for i, p := range paths {
		paths[i] = abs(dir, p)
	}
	return paths
}

func abs(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
