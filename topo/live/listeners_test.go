package live

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vnet-lab/vnet/rtnl"
)

// TestListeners checks that sock_diag lists the same sockets as /proc: those that listen, and no connected ones.
func TestListeners(t *testing.T) {
	conn, err := rtnl.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	up := rtnl.LinkConfig{}
	up.SetUp(true)
	if err := conn.Do(rtnl.SetLink(rtnl.LinkID{Name: "lo"}, up)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for file, at := range map[string][2]string{"tcp": {"tcp4", "127.0.0.1:0"}, "tcp6": {"tcp6", "[::1]:0"}} {
		if l, err := net.Listen(at[0], at[1]); err == nil { // a kernel may have no IPv6
			defer l.Close()
			want[file] = l.Addr().String()
		}
	}
	for file, at := range map[string][2]string{"udp": {"udp4", "127.0.0.1:0"}, "udp6": {"udp6", "[::1]:0"}} {
		if l, err := net.ListenPacket(at[0], at[1]); err == nil {
			defer l.Close()
			want[file] = l.LocalAddr().String()
		}
	}
	for file, at := range want {
		c, err := net.Dial(file[:3], at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for _, table := range socketTables {
		inProc := table.readProc()
		queried, err := table.query()
		if err != nil {
			t.Logf("this kernel has no sock_diag: %v", err)
			queried = inProc
		}
		for _, list := range [][]netip.AddrPort{inProc, queried} {
			slices.SortFunc(list, netip.AddrPort.Compare)
		}
		at, _ := netip.ParseAddrPort(want[table.file])
		if !slices.Equal(inProc, queried) || at.IsValid() && !slices.Equal(queried, []netip.AddrPort{at}) {
			t.Errorf("%s: sock_diag has %v, /proc has %v, expected %v", table.file, queried, inProc, at)
		}
	}
}
