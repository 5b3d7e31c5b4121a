//go:build linux

// Vm runs a program in a virtual machine. The machine has a Debian kernel, its modules
// and nothing else: no ip, no iptables, no nft, no shell. Use it with go test:
//
//	CGO_ENABLED=0 go test -exec 'vm -kernel cache/amd64/6.12' ./...
//	vm -kernel cache/amd64/6.12 ./vnet demo
//	vm -kernel cache/amd64/6.12 ./vnet up lab.yaml --and ./vnet verify
//
// One static binary is three programs; its name and its pid say which one:
//
//	host                                guest
//	vm ──────── initramfs (cpio) ─────▶ /init           PID 1: mounts, runs the program
//	   ◀─── virtio port "out", "err" ──   │               in its folder, with its path
//	   ◀─── virtio port "verdict" ─────   │               profiles, coverage, exit status
//	                                    /sbin/modprobe  the kernel calls it to load modules
//
// The guest has the whole Go module under the same path as the host, because tests read
// testdata and other packages. Output, exit status, profiles and coverage come back. If
// the machine ends without a verdict (the exit status), or runs longer than -timeout, the run has failed.
//
// By default QEMU emulates the processor, because an existing /dev/kvm may not work;
// VNET_VM_ACCEL=kvm or -accel changes that. The processor is that of the program.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	switch {
	case filepath.Base(os.Args[0]) == "modprobe":
		os.Exit(modprobe(os.Args[1:]))
	case os.Getpid() == 1:
		guest()
	default:
		status, err := host(os.Args[1:])
		if err != nil {
			fmt.Fprintln(os.Stderr, "vm: error:", err)
		}
		os.Exit(status)
	}
}

// A job says what the guest runs. It is in the initramfs as [jobPath].
type job struct {
	Commands   [][]string // programs and their arguments; the guest runs them until one fails
	Env        []string
	Dir        string   // the working folder
	Outputs    []string // files and folders to send back, absolute paths
	OutputDirs []string // the folders of Outputs, which the guest makes first
}

const (
	jobPath = "/job.json"
	// exitEntry is the last entry of the archive on the verdict port: the exit status
	// in decimal. It is the verdict.
	exitEntry = "exit"
)
