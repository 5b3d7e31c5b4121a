//go:build linux

// Vm runs a program inside a virtual machine that has a Debian kernel, the modules
// of that kernel, and nothing else: no ip, no iptables, no nft, no shell. It is
// made for go test:
//
//	CGO_ENABLED=0 go test -exec 'vm -kernel cache/amd64/6.12' ./...
//	vm -kernel cache/amd64/6.12 ./vnet demo
//	vm -kernel cache/amd64/6.12 ./vnet up lab.yaml --and ./vnet verify
//
// One static binary is three programs, by the place in which it finds itself:
//
//	host                                guest
//	vm ──────── initramfs (cpio) ─────▶ /init           PID 1: mounts, runs the program
//	   ◀─── virtio port "out", "err" ──   │               in its folder, under its name
//	   ◀─── virtio port "verdict" ─────   │               profiles, coverage, exit status
//	                                    /sbin/modprobe  asked by the kernel for modules
//
// The module's whole tree is in the guest under the path it has here, for tests
// read their testdata and their neighbours. Output, exit status, profiles and
// coverage come back. A machine that ends without a verdict, or that takes longer
// than -timeout, is a failure.
//
// QEMU emulates the processor, because a /dev/kvm that is there need not work;
// VNET_VM_ACCEL=kvm or -accel says otherwise. The processor is the one that the
// program was built for.
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

// A job is what the guest is to do. It lies in the initramfs as [jobPath].
type job struct {
	Commands [][]string // programs and their arguments, to be run until one fails
	Env      []string
	Dir      string   // the folder to run in
	Back     []string // files and folders to send back, by absolute path
	Folders  []string // to be there before: those that Back is in, and those of Back itself
}

const (
	jobPath = "/job.json"
	// exitEntry is the last entry of the archive on the verdict port, and holds
	// the exit status in decimal. It is the verdict.
	exitEntry = "exit"
)
