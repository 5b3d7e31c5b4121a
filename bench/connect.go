package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// duration is how long connections, and then bytes, are counted.
const duration = time.Second

// measureForward returns the TCP connections per second from client to a port of the machine
// that is forwarded to server, and the MB per second in one connection. It uses system
// calls directly, because the Go runtime's poller would dominate the result.
func measureForward(client, server *os.File, port int) (connections, megabytes float64, err error) {
	s := &sink{}
	if err := nsfs.Do(server, s.listen); err != nil {
		return 0, 0, err
	}
	go s.serve()
	err = nsfs.Do(client, func() error {
		if connections, err = connectFor(duration, port); err != nil {
			return err
		}
		s.streaming.Store(true)
		megabytes, err = s.streamFor(duration, port)
		return err
	})
	return connections, megabytes, errors.Join(err, s.close())
}

// A sink accepts connections. It closes each at once, or reads it to its end if streaming
// is set.
type sink struct {
	fd        int
	streaming atomic.Bool
	bytes     atomic.Int64
}

func (s *sink) listen() (err error) {
	if s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	return errors.Join(unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), // measured again at once
		unix.Bind(s.fd, &unix.SockaddrInet4{Port: webPort}), unix.Listen(s.fd, 4096))
}

// close shuts the socket down first, so that accept returns.
func (s *sink) close() error {
	return errors.Join(unix.Shutdown(s.fd, unix.SHUT_RDWR), unix.Close(s.fd))
}

func (s *sink) serve() {
	block := make([]byte, 1<<18)
	for {
		fd, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		for s.streaming.Load() {
			n, err := unix.Read(fd, block)
			if n <= 0 || err != nil {
				break
			}
			s.bytes.Add(int64(n))
		}
		unix.Close(fd)
	}
}

// dial connects. Closing the socket resets the connection, so no port stays in TIME_WAIT.
func dial(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.Connect(fd, &unix.SockaddrInet4{Addr: uplinkAddr.Addr().As4(), Port: port}))
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %s:%d: %w", uplinkAddr.Addr(), port, err)
	}
	return fd, nil
}

// connectFor returns the number of connections per second.
func connectFor(d time.Duration, port int) (float64, error) {
	count, start := 0, time.Now()
	for time.Since(start) < d {
		fd, err := dial(port)
		if err != nil {
			return 0, err
		}
		unix.Close(fd)
		count++
	}
	return float64(count) / time.Since(start).Seconds(), nil
}

// streamFor returns the MB per second through one connection.
func (s *sink) streamFor(d time.Duration, port int) (float64, error) {
	fd, err := dial(port)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	block := make([]byte, 1<<18)
	start := time.Now()
	for time.Since(start) < d {
		if _, err := unix.Write(fd, block); err != nil {
			return 0, os.NewSyscallError("write", err)
		}
	}
	return float64(s.bytes.Load()) / 1e6 / time.Since(start).Seconds(), nil
}
