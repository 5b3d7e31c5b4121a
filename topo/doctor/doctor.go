// Package doctor finds problems of a machine that keep labs from working, or will keep a given lab from working. It
// also finds the commands that fix them. It changes nothing.
//
// It does not look into hosts of labs, and sends no packets; package verify does both.
package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo"
)

// A Finding is a problem that [Examination.Run] found.
type Finding struct {
	// Topic is a short name: firewall, rp_filter, conntrack ….
	Topic string `json:"topic"`
	// Text says what is wrong and what follows from it.
	Text string `json:"text"`
	// Remedy has shell commands to run as root. They fix the problem.
	Remedy []string `json:"remedy"`
}

// An Examination says what to examine.
type Examination struct {
	// Lab is the name of a lab; "" for the machine alone.
	Lab string
	// Want is the state of the lab, from its file or from the kernel; nil for the machine alone.
	Want topo.State
	// Root is the directory of the files that are read, except those in /run/netns; "" means /.
	Root string
}

// Run returns the findings. An error means that something could not be examined; the other findings are complete.
func (e Examination) Run() (findings []Finding, err error) {
	for _, check := range []func(Examination) ([]Finding, error){
		userNamespaces, readOnlySysctls, readOnlyFiles, features, firewall, reversePath,
		conntrack, neighbourTables, backlog, openFiles, udev, networkManager, networkd, leftovers,
	} {
		more, checkErr := check(e)
		findings = append(findings, more...)
		err = errors.Join(err, checkErr)
	}
	return findings, err
}

// sysctl reads a sysctl that is a number. ok is false if the kernel does not have it, or if it is not a number.
func (e Examination) sysctl(key string) (n int, ok bool) {
	text, err := os.ReadFile(e.path(sysctlPath(key)))
	if err != nil {
		return 0, false
	}
	n, err = strconv.Atoi(strings.TrimSpace(string(text)))
	return n, err == nil
}

// sysctlPath returns the file of a sysctl. A slash in the key is a dot in the name of a link.
func sysctlPath(key string) string {
	return filepath.Join(append([]string{"/proc/sys"}, topo.Sysctl{Name: key}.Path()...)...)
}

func (e Examination) path(name string) string { return filepath.Join("/", e.Root, name) }

func (e Examination) exists(name string) bool {
	_, err := os.Stat(e.path(name))
	return err == nil
}

// tooSmall returns a finding if a sysctl is less than needed.
func (e Examination) tooSmall(topic, key string, needed int, text string) []Finding {
	n, ok := e.sysctl(key)
	if !ok || n >= needed {
		return nil
	}
	enough := 1024 // a power of two has room for more than is needed now
	for enough < needed {
		enough *= 2
	}
	return []Finding{{topic, key + " is " + strconv.Itoa(n) + ": " + text, e.setting(key, enough)}}
}

// setting returns the commands that write a sysctl. In containers, the file may be on a read-only mount.
func (e Examination) setting(key string, value int) (commands []string) {
	if path := e.path(sysctlPath(key)); unix.Access(path, unix.W_OK) == unix.EROFS {
		commands = append(commands, mountOf(path).writable())
	}
	return append(commands, "sysctl -w "+key+"="+strconv.Itoa(value))
}

// hosts returns the number of namespaces of the lab.
func (e Examination) hosts() (n int) {
	for _, o := range e.Want {
		if _, ok := o.(topo.Namespace); ok {
			n++
		}
	}
	return n
}

// machineLinks returns the names of the lab's links on the machine, in order.
func (e Examination) machineLinks() (names []string) {
	for _, o := range e.Want.Objects() {
		if made, ok := o.(topo.LinkObject); ok {
			for _, l := range made.Links() {
				if l.NS == "" {
					names = append(names, l.Name)
				}
			}
		}
	}
	return names
}

// configFiles returns the files with an extension in directories of a program's configuration, in the order in which
// the program reads them: by name. A file hides those of the same name in later directories.
func (e Examination) configFiles(extension string, dirs ...string) (files []configFile) {
	names := map[string]bool{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(e.path(dir))
		if err != nil {
			continue // there is none, or it cannot be read: neither is a finding
		}
		for _, f := range entries {
			if filepath.Ext(f.Name()) != extension || names[f.Name()] {
				continue
			}
			names[f.Name()] = true
			if text, err := os.ReadFile(e.path(filepath.Join(dir, f.Name()))); err == nil {
				files = append(files, configFile{filepath.Join(dir, f.Name()), string(text)})
			}
		}
	}
	sortFiles(files)
	return files
}
