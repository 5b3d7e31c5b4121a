package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stillAlive is the message for systemd's watchdog.
const stillAlive = "WATCHDOG=1"

// notify sends systemd the state of the service, as sd_notify(3) does; without systemd, it does nothing. A message that
// cannot be sent within a second, or at once if it is for the watchdog, is lost: vnet itself does not depend on it.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	flags := 0
	if state == stillAlive {
		flags = unix.MSG_DONTWAIT
	}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1})
	// In package unix, "@" at the beginning means the abstract namespace, as in systemd.
	_ = unix.Sendto(fd, []byte(state), flags, &unix.SockaddrUnix{Name: path})
}

// watchdogInterval returns the interval at which the service reports to systemd that it is alive: half of systemd's
// limit; zero if there is no limit for this process. See sd_watchdog_enabled(3).
func watchdogInterval() time.Duration {
	limit, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 50)
	pid := os.Getenv("WATCHDOG_PID")
	if err != nil || pid != "" && strings.TrimSpace(pid) != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(limit) * time.Microsecond / 2
}

// monotonicMicroseconds returns the time of CLOCK_MONOTONIC.
func monotonicMicroseconds() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano() / int64(time.Microsecond)
}
