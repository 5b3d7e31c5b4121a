//go:build linux

package nft_test

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// BenchmarkConnect measures TCP connections through the last of n forwarded ports.
func BenchmarkConnect(b *testing.B) {
	for _, n := range []int{1, 10000} {
		b.Run(fmt.Sprintf("ports=%d", n), func(b *testing.B) {
			w := newTestNet(b)
			w.sh(w.machine, "sysctl -qw net.netfilter.nf_conntrack_max=1000000 || true")
			sink(b, w)
			mustApply(b, w.nft, nil, forwards(n))
			target := fmt.Sprintf("10.9.0.1:%d", 20000+n-1)
			err := nsfs.Do(w.outside, func() error {
				d := net.Dialer{Control: resetOnClose}
				b.ResetTimer()
				for range b.N {
					c, err := d.Dial("tcp", target)
					if err != nil {
						return err
					}
					c.Close()
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conn/s")
		})
	}
}

// resetOnClose makes Close send a reset, so that no port stays in TIME_WAIT.
func resetOnClose(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// sink accepts connections on red's port 80 and closes them.
func sink(b *testing.B, w *testNet) {
	b.Helper()
	err := nsfs.Do(w.red, func() error {
		l, err := net.Listen("tcp", ":80")
		if err != nil {
			return err
		}
		b.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAdd measures adding a port to n existing ones.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("ports=%d", n), func(b *testing.B) {
			c := dial(b)
			mustApply(b, c, nil, forwards(n))
			b.ResetTimer()
			for i := range b.N {
				port := uint16(1 + i%19000)
				mustApply(b, c, nil, []nft.Rule{nft.Forward{Proto: nft.UDP, Ports: nft.Port(port),
					To: addr("192.168.15.3"), ToPort: 5353}})
				if port == 19000 {
					b.StopTimer()
					if err := c.DeleteTable("vnet"); err != nil {
						b.Fatal(err)
					}
					mustApply(b, c, nil, forwards(n))
					b.StartTimer()
				}
			}
			b.StopTimer()
			if err := c.DeleteTable("vnet"); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkThroughput measures one established connection that the machine forwards and masquerades, with rules and
// with a fast path. An operation is one mebibyte.
func BenchmarkThroughput(b *testing.B) {
	for _, way := range []string{"rules", "fastpath"} {
		b.Run(way, func(b *testing.B) {
			w := newFastpathNet(b)
			mustApply(b, w.nft, nil, masquerades())
			if way == "fastpath" {
				mustApply(b, w.nft, nil, fastpaths())
			}
			client := w.drain(b)
			buf := make([]byte, 1<<20)
			if _, err := client.Write(buf); err != nil { // establishes the connection
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ResetTimer()
			for range b.N {
				if _, err := client.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// drain opens a connection from red to a discard server outside. It disables GSO: with few large packets, the cost of
// forwarding would not be visible.
func (w *testNet) drain(b *testing.B) net.Conn {
	b.Helper()
	w.sh(w.red, "ip link set eth0 gso_max_segs 1")
	err := nsfs.Do(w.outside, func() error {
		l, err := net.Listen("tcp4", ":9")
		if err != nil {
			return err
		}
		b.Cleanup(func() { l.Close() })
		go func() {
			if c, err := l.Accept(); err == nil {
				io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return w.open(w.red, "tcp4", "10.9.0.2:9")
}
