//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// unusedModules matches modules that vnet does not use. They are most of a kernel's
// size, and an emulated processor unpacks them slowly.
var unusedModules = regexp.MustCompile(`^kernel/(sound|fs|drivers/(gpu|media|infiniband|staging|usb|scsi|ata|md|nvme|` +
	`mtd|hid|iio|isdn|input|video|mmc|hwmon|i2c|spi|firewire|message|target|platform|bluetooth|comedi|edac|power|` +
	`regulator|rtc|thermal|leds|` +
	`net/(ethernet|wireless|usb|can|wan|fddi|hamradio|arcnet|ieee802154|phy|dsa|pcs|mdio|thunderbolt|wwan)))/`)

// writeInitramfs writes all files of the guest.
func writeInitramfs(f *os.File, o *options, k kernel, j job) error {
	c := newCPIO(f)
	for dir, mode := range map[string]uint32{
		"/proc": 0o555, "/sys": 0o555, "/dev": 0o755, "/run": 0o755, "/root": 0o700, "/tmp": 0o1777,
	} {
		c.dir(dir, mode)
	}
	c.data("/etc/passwd", []byte("root:x:0:0::/root:\nnobody:x:65534:65534::/:\n"))
	c.data("/etc/group", []byte("root:x:0:\nnogroup:x:65534:\n"))
	c.data("/etc/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n"))
	c.symlink("../init", "/sbin/modprobe")
	spec, err := json.Marshal(j)
	c.data(jobPath, spec)
	return errors.Join(err,
		c.copy(o.init, "/init", 0o111),
		addLibraries(c, o.init),
		addPrograms(c, j.Commands),
		addModules(c, k, o.without),
		addProject(c, j.Dir),
		addFiles(c, o.files),
		addTools(c, o.with),
		c.close())
}

func addPrograms(c *cpio, commands [][]string) error {
	for _, command := range commands {
		if err := errors.Join(c.copy(command[0], command[0], 0o111), addLibraries(c, command[0])); err != nil {
			return err
		}
	}
	return nil
}

// addModules adds the kernel's modules and their index files.
func addModules(c *cpio, k kernel, without *regexp.Regexp) error {
	return c.tree(k.modules, "/lib/modules/"+filepath.Base(k.modules), func(rel string, d fs.DirEntry) bool {
		if d.IsDir() {
			return unusedModules.MatchString(rel + "/")
		}
		if dir, _ := filepath.Split(rel); dir == "" {
			return !strings.HasPrefix(rel, "modules.") || strings.HasSuffix(rel, ".bin")
		}
		return without != nil && without.MatchString(moduleName(rel))
	})
}

// moduleName returns the kernel's name of the module in a file.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// addProject adds the Go module that contains dir, or only dir if there is none.
func addProject(c *cpio, dir string) error {
	root := dir
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			root = d
		}
	}
	const large = 4 << 20
	return c.tree(root, root, func(_ string, d fs.DirEntry) bool {
		if d.IsDir() {
			return d.Name() == "cache" || d.Name() == ".git" || d.Name() == ".vagrant"
		}
		info, err := d.Info()
		return err != nil || info.Size() > large
	})
}

// addFiles adds the files of the flag -file.
func addFiles(c *cpio, files []string) error {
	for _, f := range files {
		source, name, ok := strings.Cut(f, ":")
		if !ok {
			name = source
		}
		if err := c.tree(source, name, func(string, fs.DirEntry) bool { return false }); err != nil {
			return err
		}
	}
	return nil
}

// library matches a path in the output of ldd(1).
var library = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// addTools adds programs of this machine with their libraries. Tests compare vnet with
// these tools.
func addTools(c *cpio, tools []string) error {
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			return err
		}
		if err := errors.Join(c.copy(path, path, 0), addLibraries(c, path)); err != nil {
			return fmt.Errorf("%s: %w", tool, err)
		}
	}
	return nil
}

// addLibraries adds the shared libraries of a program of this machine. A static program,
// or one for another processor, has none here.
func addLibraries(c *cpio, path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	out, _ := exec.Command("ldd", path).Output() // fails for a program without shared libraries
	for _, m := range library.FindAllStringSubmatch(string(out), -1) {
		if err := c.file(m[1], m[1]); err != nil {
			return err
		}
	}
	return nil
}
