package live

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/dial"
)

// A socketTable is one of the kernel's tables of sockets.
type socketTable struct {
	file, proto      string
	family, protocol byte
	state            uint64 // of the listening sockets; see the kernel's tcp_states.h
}

var socketTables = []socketTable{
	{"tcp", "tcp", unix.AF_INET, unix.IPPROTO_TCP, tcpListen},
	{"tcp6", "tcp", unix.AF_INET6, unix.IPPROTO_TCP, tcpListen},
	{"udp", "udp", unix.AF_INET, unix.IPPROTO_UDP, udpUnconnected},
	{"udp6", "udp", unix.AF_INET6, unix.IPPROTO_UDP, udpUnconnected},
}

// Socket states. An unconnected UDP socket is in state TCP_CLOSE.
const (
	tcpListen      = 10
	udpUnconnected = 7
)

// listeners returns the listening sockets of the thread's namespace. A kernel without sock_diag(7) lists all sockets in
// /proc, which takes some milliseconds: it goes through the table of all connections of the machine.
func listeners() (list []listeningSocket) {
	for _, table := range socketTables {
		found, err := table.query()
		if err != nil {
			found = table.readProc()
		}
		for _, at := range found {
			list = append(list, listeningSocket{table.proto, at})
		}
	}
	return list
}

// query lists the listening sockets of the table by sock_diag(7).
func (t socketTable) query() (list []netip.AddrPort, err error) {
	s, err := dial.Open(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	req := netlink.Message{
		Header: netlink.Header{Length: unix.NLMSG_HDRLEN + sizeofDiagRequest, Type: sockDiagByFamily,
			Flags: netlink.Request | netlink.Dump},
		Data: make([]byte, sizeofDiagRequest),
	}
	req.Data[0], req.Data[1] = t.family, t.protocol
	binary.NativeEndian.PutUint32(req.Data[4:], 1<<t.state)
	b, err := req.MarshalBinary()
	if err == nil {
		err = s.Send(b)
	}
	if err != nil {
		return nil, err
	}
	err = s.Receive(func(datagram []byte) (more bool, err error) {
		messages, err := dial.Messages(nil, datagram)
		for _, m := range messages {
			if m.Header.Type == netlink.Done || m.Header.Type == netlink.Error {
				return false, diagError(m.Data)
			}
			if at, ok := diagAddr(m.Data); ok {
				list = append(list, at)
			}
		}
		return true, err
	})
	return list, err
}

// Numbers of <linux/sock_diag.h> and <linux/inet_diag.h>.
const (
	sockDiagByFamily  = 20
	sizeofDiagRequest = 56 // struct inet_diag_req_v2
)

// diagError returns the errno at the end of a list.
func diagError(b []byte) error {
	if len(b) < 4 {
		return io.ErrUnexpectedEOF
	}
	if errno := -int32(binary.NativeEndian.Uint32(b)); errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}

// diagAddr returns the own address of the socket in a struct inet_diag_msg.
func diagAddr(b []byte) (netip.AddrPort, bool) {
	const port, addr = 4, 8 // offsets of id.idiag_sport and id.idiag_src
	size := 16
	if len(b) < addr+size {
		return netip.AddrPort{}, false
	}
	if b[0] == unix.AF_INET {
		size = 4
	}
	a, ok := netip.AddrFromSlice(b[addr : addr+size])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[port:])), ok
}

// readProc lists the listening sockets of the table in /proc; none if there is no such file, as without IPv6.
func (t socketTable) readProc() (list []netip.AddrPort) {
	text, _ := os.ReadFile("/proc/thread-self/net/" + t.file)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 4 {
			continue
		}
		at, ok := socketAddr(words[1])
		state, err := strconv.ParseUint(words[3], 16, 8)
		if ok && err == nil && state == t.state {
			list = append(list, at)
		}
	}
	return list
}

// socketAddr parses an address of /proc/net: 32-bit words in native byte order, and the port.
func socketAddr(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
