//go:build linux

package nft_test

import (
	"cmp"
	"encoding/binary"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// A frame is an Ethernet frame that a test sends. The name follows the payload, unless the payload ends with it.
type frame struct {
	name     string
	dst, src string // MAC addresses
	kind     uint16 // ETH_P_*
	tags     []uint16
	payload  []byte
}

func (f frame) bytes() []byte {
	b := slices.Concat(mac(cmp.Or(f.dst, toAll)), mac(f.src))
	for _, protocol := range f.tags { // VLAN 0 is none: receivers ignore the tag
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, protocol), 0)
	}
	b = append(binary.BigEndian.AppendUint16(b, f.kind), f.payload...)
	if !strings.HasSuffix(string(b), f.name) {
		b = append(b, f.name...)
	}
	return b
}

func mac(text string) []byte {
	a, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return a
}

// A frameSocket sends and receives frames on eth0 of a host.
type frameSocket struct {
	t    testing.TB
	fd   int
	link int
}

func openFrames(t testing.TB, host *os.File) frameSocket {
	t.Helper()
	s := frameSocket{t: t}
	err := nsfs.Do(host, func() (err error) {
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all)); err != nil {
			return err
		}
		link, err := net.InterfaceByName("eth0")
		if err == nil {
			s.link = link.Index
			err = unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: s.link})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s.fd) })
	second := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s frameSocket) send(frames ...frame) {
	s.t.Helper()
	for _, f := range frames {
		if err := unix.Sendto(s.fd, f.bytes(), 0, &unix.SockaddrLinklayer{Ifindex: s.link}); err != nil {
			s.t.Fatal(f.name, ": ", err)
		}
	}
}

// arrived sends frames and then mark, until mark arrives at to, and returns the names of the frames that arrived there.
// A busy machine loses frames, so it sends them again each second.
func arrived(to frameSocket, send func(), sendMark func(), mark string, names []string) (got []string) {
	to.t.Helper()
	found := map[string]bool{}
	send()
	sendMark()
	buf := make([]byte, 4096)
	for end := time.Now().Add(answerTimeout); ; {
		n, from, err := unix.Recvfrom(to.fd, buf, 0)
		outgoing := false
		if l, ok := from.(*unix.SockaddrLinklayer); ok {
			outgoing = l.Pkttype == unix.PACKET_OUTGOING
		}
		text := string(buf[:max(n, 0)])
		switch {
		case err == unix.EINTR || outgoing:
		case err == unix.EAGAIN && time.Now().Before(end):
			send()
			sendMark()
		case err != nil:
			to.t.Fatalf("no frame %q: %v", mark, err)
		case strings.HasSuffix(text, mark):
			for _, name := range names {
				if found[name] {
					got = append(got, name)
				}
			}
			return got
		default:
			for _, name := range names {
				found[name] = found[name] || strings.HasSuffix(text, name)
			}
		}
	}
}
