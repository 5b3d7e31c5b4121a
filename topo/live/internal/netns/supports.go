package netns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// HasIPv6 reports whether the kernel supports IPv6. It may be built without IPv6, or
// IPv6 may be disabled at boot (ipv6.disable=1).
func HasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.EAFNOSUPPORT
}

// hasAddrProto reports whether the kernel keeps the protocol of an address (IFA_PROTO, Linux
// 5.18). Older kernels ignore it in a request, so only the kernel's version shows this.
func hasAddrProto() bool {
	var u unix.Utsname
	var major, minor int
	if unix.Uname(&u) != nil {
		return false
	}
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 5 || major == 5 && minor >= 18)
}
