package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
)

// patience limits each exchange. A VM without hardware virtualization is slow.
const patience = 10 * time.Second

// talk is a command for scripts. It sends real packets between namespaces and needs no other program. "-" is the
// machine's namespace.
//
//	talk ping FROM ADDR              sends an echo request and waits for the reply
//	talk tcp|udp FROM ADDR:PORT AT ADDR:PORT
//	                                 sends from namespace FROM to the first address, receives at
//	                                 the second address in namespace AT, and answers; prints the
//	                                 source address as AT sees it
func talk() {
	if err := talkTo(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "talk:", err)
		os.Exit(1)
	}
}

func talkTo(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "ping":
		addr, err := netip.ParseAddr(args[2])
		if err != nil {
			return err
		}
		return within(args[1], func() error { return ping(addr) })
	case len(args) == 5 && args[0] == "tcp":
		return tcp(args[1], args[2], args[3], args[4])
	case len(args) == 5 && args[0] == "udp":
		return udp(args[1], args[2], args[3], args[4])
	}
	return fmt.Errorf("cannot read %q", args)
}

// within runs fn in a named namespace. Sockets that fn opens can be used outside.
func within(name string, fn func() error) error {
	if name == "-" {
		return fn()
	}
	ns, err := nsfs.Open(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return nsfs.Do(ns, fn)
}

func tcp(from, to, at, listen string) error {
	var l net.Listener
	err := within(at, func() (err error) {
		l, err = net.Listen("tcp", listen)
		return err
	})
	if err != nil {
		return err
	}
	defer l.Close()
	answered := make(chan error, 1)
	go func() { answered <- answer(l) }()
	var c net.Conn
	err = within(from, func() (err error) {
		c, err = net.DialTimeout("tcp", to, patience)
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	seen, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	fmt.Println(string(seen))
	return <-answered
}

// answer sends one client its address.
func answer(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, len("hello\n"))); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(host))
	return err
}

func udp(from, to, at, listen string) error {
	var server net.PacketConn
	err := within(at, func() (err error) {
		server, err = net.ListenPacket("udp", listen)
		return err
	})
	if err != nil {
		return err
	}
	defer server.Close()
	var c net.Conn
	err = within(from, func() (err error) {
		c, err = net.Dial("udp", to)
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	deadline := time.Now().Add(patience)
	server.SetDeadline(deadline)
	c.SetDeadline(deadline)
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	buf := make([]byte, 64)
	_, caller, err := server.ReadFrom(buf)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(caller.String())
	if err != nil {
		return err
	}
	if _, err := server.WriteTo([]byte(host), caller); err != nil {
		return err
	}
	n, err := c.Read(buf)
	fmt.Println(string(buf[:n]))
	return err
}

// ping sends one ICMP echo request and waits for the reply; RFC 792, RFC 4443.
func ping(to netip.Addr) error {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	c, err := net.ListenPacket(network, "")
	if err != nil {
		return err
	}
	defer c.Close()
	echo := append([]byte{request, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, uint32(os.Getpid()))...)
	if to.Is4() { // for IPv6, the kernel sets the checksum
		binary.BigEndian.PutUint16(echo[2:], checksum(echo))
	}
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.WriteTo(echo, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if n >= 8 && buf[0] == reply && bytes.Equal(buf[4:8], echo[4:8]) {
			return same(from, to)
		}
	}
}

func same(from net.Addr, to netip.Addr) error {
	if got := from.String(); got != to.String() {
		return errors.New("answered by " + got)
	}
	return nil
}

// checksum returns the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
