//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// moduleInitCompressed makes the kernel decompress .ko.xz and .ko.zst itself:
// MODULE_INIT_COMPRESSED_FILE of include/uapi/linux/module.h, since 5.17.
const moduleInitCompressed = 4

// modprobe is /sbin/modprobe of the guest. The kernel calls it as modprobe -q -- NAME;
// NAME is a module or an alias.
func modprobe(args []string) int {
	status := 0
	for _, name := range args {
		if strings.HasPrefix(name, "-") {
			continue
		}
		if err := loadModule(name); err != nil {
			// This appears on the console only.
			if f, open := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); open == nil {
				fmt.Fprintf(f, "modprobe %s: %v\n", name, err)
				f.Close()
			}
			status = 1
		}
	}
	return status
}

// loadModule loads the modules of this name or alias, and their dependencies first.
func loadModule(name string) error {
	root, err := moduleFolder()
	if err != nil {
		return err
	}
	files, err := moduleFiles(root, name)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := insert(filepath.Join(root, file)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func moduleFolder() (string, error) {
	var u unix.Utsname
	err := unix.Uname(&u)
	return "/lib/modules/" + unix.ByteSliceToString(u.Release[:]), err
}

// moduleFiles returns the files to insert, in order. A built-in module has none.
func moduleFiles(root, name string) ([]string, error) {
	names := map[string]bool{normalizeName(name): true}
	err := eachLine(filepath.Join(root, "modules.alias"), func(line string) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "alias" {
			if ok, _ := path.Match(normalizeName(f[1]), normalizeName(name)); ok {
				names[normalizeName(f[2])] = true
			}
		}
	})
	if err != nil {
		return nil, err
	}
	var files []string
	err = eachLine(filepath.Join(root, "modules.dep"), func(line string) {
		file, deps, _ := strings.Cut(line, ":")
		if !names[moduleName(file)] {
			return
		}
		needed := strings.Fields(deps) // the last one must be loaded first
		for i := len(needed) - 1; i >= 0; i-- {
			files = append(files, needed[i])
		}
		files = append(files, file)
	})
	return files, err
}

func normalizeName(name string) string { return strings.ReplaceAll(name, "-", "_") }

func eachLine(file string, do func(string)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		do(s.Text())
	}
	return s.Err()
}

// insert loads one file. It is no error if the module is already loaded.
func insert(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if filepath.Ext(file) != ".ko" {
		flags = moduleInitCompressed
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != unix.EEXIST {
		return err
	}
	return nil
}
