//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// outputFlags are the flags of a test binary that name an output file; see go help
// testflag.
var outputFlags = map[string]bool{
	"coverprofile": true, "gocoverdir": true, "cpuprofile": true, "memprofile": true, "blockprofile": true,
	"mutexprofile": true, "trace": true, "testlogfile": true,
}

// commandSeparator separates the commands of one machine.
const commandSeparator = "--and"

// newJob makes the job of a command line. Each program keeps its absolute path. The
// outputs are the files that its flags name, and $GOCOVERDIR.
func newJob(args []string) (job, error) {
	dir, err := os.Getwd()
	if err != nil {
		return job{}, err
	}
	j := job{Dir: dir}
	if cover := os.Getenv("GOCOVERDIR"); cover != "" {
		j.Outputs = append(j.Outputs, abs(dir, cover))
	}
	for len(args) > 0 {
		command := args
		if i := slices.Index(args, commandSeparator); i >= 0 {
			command, args = args[:i], args[i+1:]
		} else {
			args = nil
		}
		if len(command) == 0 {
			return job{}, errors.New("expected a program before and after " + commandSeparator)
		}
		j.Outputs = append(j.Outputs, outputPaths(dir, command[1:])...)
		j.Commands = append(j.Commands, append([]string{abs(dir, command[0])}, command[1:]...))
	}
	for _, path := range j.Outputs {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			j.OutputDirs = append(j.OutputDirs, path)
		} else {
			j.OutputDirs = append(j.OutputDirs, filepath.Dir(path))
		}
	}
	return j, nil
}

// outputPaths returns the output files that the flags of a test binary name.
func outputPaths(dir string, args []string) []string {
	var paths []string
	for _, arg := range args {
		name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name, test := strings.CutPrefix(name, "test."); test && ok && value != "" {
			switch {
			case name == "outputdir":
				dir = value
			case outputFlags[name]:
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
