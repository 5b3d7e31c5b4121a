//go:build linux

package main

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
)

// A machine says how QEMU emulates one kind of processor.
type machine struct {
	elf     elf.Machine
	order   elf.Data
	qemu    string   // the program
	args    []string // the board and the processor
	console string   // the kernel's name of the first serial port
	serial  string   // the device that carries the ports to the host
	modules []string // the modules of the ports
	cmdline string   // more kernel parameters
}

var machines = map[string]machine{
	"amd64": {elf.EM_X86_64, elf.ELFDATA2LSB, "qemu-system-x86_64", []string{"-machine", "q35", "-cpu", "max"},
		"ttyS0", "virtio-serial-pci", []string{"virtio_pci", "virtio_console"},
		"no_timer_check"}, // on a busy host the check of an emulated timer fails
	"arm64": {elf.EM_AARCH64, elf.ELFDATA2LSB, "qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "cortex-a72"},
		"ttyAMA0", "virtio-serial-pci", []string{"virtio_pci", "virtio_console"}, ""},
	"riscv64": {elf.EM_RISCV, elf.ELFDATA2LSB, "qemu-system-riscv64", []string{"-machine", "virt"},
		"ttyS0", "virtio-serial-pci", []string{"virtio_pci", "virtio_console"}, ""},
	"s390x": {elf.EM_S390, elf.ELFDATA2MSB, "qemu-system-s390x", []string{"-machine", "s390-ccw-virtio", "-cpu", "max"},
		"ttysclp0", "virtio-serial-ccw", []string{"virtio_console"}, ""},
}

// machineFor returns the machine for a program's processor, and its name.
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

// findKernel finds the files of a Debian kernel. The image is in /boot until 6.x, later
// beside the modules.
func findKernel(root string) (kernel, error) {
	deps, _ := filepath.Glob(filepath.Join(root, "lib/modules/*/modules.dep"))
	if len(deps) != 1 {
		return kernel{}, fmt.Errorf("%s: expected one lib/modules/*/modules.dep, found %d; kernels.sh downloads kernels",
			root, len(deps))
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
