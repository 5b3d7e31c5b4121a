//go:build linux

package main

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
)

// A machine is how QEMU is to emulate one kind of processor.
type machine struct {
	elf     elf.Machine
	order   elf.Data
	qemu    string   // the program
	args    []string // the board and the processor
	console string   // the kernel's name of the first serial port
	serial  string   // the device that carries the ports to the host
	modules []string // to be loaded before the ports are there
	words   string   // more of the kernel's command line
}

var machines = map[string]machine{
	"amd64": {elf.EM_X86_64, elf.ELFDATA2LSB, "qemu-system-x86_64", []string{"-machine", "q35", "-cpu", "max"},
		"ttyS0", "virtio-serial-pci", []string{"virtio_pci", "virtio_console"},
		"no_timer_check"}, // a busy host gives an emulated timer no time to prove itself
	"arm64": {elf.EM_AARCH64, elf.ELFDATA2LSB, "qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "cortex-a72"},
		"ttyAMA0", "virtio-serial-pci", []string{"virtio_pci", "virtio_console"}, ""},
	"riscv64": {elf.EM_RISCV, elf.ELFDATA2LSB, "qemu-system-riscv64", []string{"-machine", "virt"},
		"ttyS0", "virtio-serial-pci", []string{"virtio_pci", "virtio_console"}, ""},
	"s390x": {elf.EM_S390, elf.ELFDATA2MSB, "qemu-system-s390x", []string{"-machine", "s390-ccw-virtio", "-cpu", "max"},
		"ttysclp0", "virtio-serial-ccw", []string{"virtio_console"}, ""},
}

// machineFor finds the machine that can run a program.
func machineFor(program string) (string, machine, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", machine{}, fmt.Errorf("%s: %w", program, err)
	}
	defer f.Close()
	for arch, m := range machines {
		if m.elf == f.Machine && m.order == f.Data {
			return arch, m, nil
		}
	}
	return "", machine{}, fmt.Errorf("%s: no machine for %s", program, f.Machine)
}

// A kernel is an unpacked Debian package.
type kernel struct {
	image   string
	modules string // the folder with modules.dep
}

// findKernel looks where Debian puts things: until 6.x in /boot, later beside the
// modules.
func findKernel(root string) (kernel, error) {
	deps, _ := filepath.Glob(filepath.Join(root, "lib/modules/*/modules.dep"))
	if len(deps) != 1 {
		return kernel{}, fmt.Errorf("%s: want one lib/modules/*/modules.dep, have %d; kernels.sh fetches kernels", root, len(deps))
	}
	k := kernel{modules: filepath.Dir(deps[0])}
	release := filepath.Base(k.modules)
	for _, image := range []string{
		filepath.Join(root, "boot/vmlinuz-"+release), filepath.Join(root, "boot/vmlinux-"+release),
		filepath.Join(k.modules, "vmlinuz"), filepath.Join(k.modules, "vmlinux"),
	} {
		if _, err := os.Stat(image); err == nil {
			k.image = image
			return k, nil
		}
	}
	return kernel{}, fmt.Errorf("%s: no vmlinuz for %s", root, release)
}
