package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// atSecure is AT_SECURE of <linux/auxvec.h>; see getauxval(3).
const atSecure = 23

// checkPrivilege returns an error if the program file gives rights to its user (set-user-ID, file capabilities): vnet
// exec, for example, would run any program with them. AT_SECURE alone is no proof: SELinux and AppArmor also set it,
// for programs that get no rights.
func checkPrivilege() error {
	vector, err := unix.Auxv()
	if err != nil {
		return nil // Go always has it
	}
	for _, entry := range vector {
		if entry[0] == atSecure && entry[1] != 0 {
			if by := gainedBy(); by != "" {
				return &hinted{fmt.Errorf("vnet does not run with rights from %s", by),
					"remove them (chmod ug-s, setcap -r); let sudo, a service or ambient capabilities give the rights"}
			}
		}
	}
	return nil
}

// gainedBy returns what gave this process more rights than its user has; "" for nothing.
func gainedBy() string {
	switch {
	case os.Getuid() != os.Geteuid():
		return "a set-user-ID bit"
	case os.Getgid() != os.Getegid():
		return "a set-group-ID bit"
	case os.Getuid() == 0:
		return ""
	}
	permitted, err := capabilities(func(d unix.CapUserData) uint32 { return d.Permitted })
	for c := range uint(64) {
		ambient, ambientErr := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, uintptr(c), 0, 0)
		if err != nil || permitted>>c&1 == 1 && (ambientErr != nil || ambient == 0) {
			return "file capabilities"
		}
	}
	return ""
}

// capabilities returns one set of the capabilities of this process.
func capabilities(set func(unix.CapUserData) uint32) (uint64, error) {
	var data [2]unix.CapUserData // 64 capabilities
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return uint64(set(data[0])) | uint64(set(data[1]))<<32, nil
}
