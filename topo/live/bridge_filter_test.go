package live

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

const hairpinLab = `
name: back
networks: {sw: {subnets: [10.0.7.0/24, "fd00:7::/64"]}}
hosts: {red: {networks: [sw], ports: ["80:80"]}}
`

// TestFiltersBridges: the question whether the kernel has rules about bridges does not change the ruleset. The answer
// is the same when there is such a rule.
func TestFiltersBridges(t *testing.T) {
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	err = nsfs.Do(ns, func() error {
		has, err := filtersBridges()
		if err != nil || !nft.Untouched() {
			t.Errorf("%t, %v, untouched: %t", has, err, nft.Untouched())
		}
		conn, err := nft.Dial(nil)
		if err != nil || !has {
			return err
		}
		defer conn.Close()
		err = conn.Apply("vnet", nil, []nft.Rule{nft.Hairpin{Port: "lo"}})
		if has, hasErr := filtersBridges(); !has || hasErr != nil {
			t.Errorf("with a rule: %t, %v", has, hasErr)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestHairpinOfLab: a host with a published port gets no multicast back that it sends, and reaches its
// own port. If somebody deletes the rule, it gets it back, and this is drift.
func TestHairpinOfLab(t *testing.T) {
	labtest.NeedIP(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	on, err := Machine{}.BridgeNetfilter()
	if err != nil {
		t.Fatal(err)
	}
	if !on {
		t.Skip("br_netfilter is not loaded")
	}
	for _, filtered := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+filtered, func(t *testing.T) {
			if err := nsfs.SetSysctl("net/bridge/bridge-nf-call-iptables", filtered); err != nil {
				t.Fatal(err)
			}
			checkHairpinOfLab(t)
		})
	}
}

func checkHairpinOfLab(t *testing.T) {
	topology := labtest.MustParse(t, "lab.yaml", hairpinLab)
	topology.BridgeNetfilter = true
	want, err := lab.Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	k := openKernel(t, topology.Name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	red, err := k.table.Handle("red")
	if err != nil {
		t.Fatal(err)
	}
	in := func(f func() error) {
		t.Helper()
		if err := red.RunInside(f); err != nil {
			t.Fatal(err)
		}
	}
	in(func() error {
		server, err := net.Listen("tcp", ":80")
		if err != nil {
			return err
		}
		defer server.Close()
		for end := time.Now().Add(30 * time.Second); ; { // a busy machine may give up a neighbour
			c, err := net.DialTimeout("tcp", "10.0.7.1:80", 10*time.Second)
			if err == nil {
				return c.Close()
			}
			if time.Now().After(end) {
				return err
			}
		}
	})
	comesBack := func(wait time.Duration) (back bool) {
		t.Helper()
		in(func() error {
			eth0, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			group := &net.UDPAddr{IP: net.ParseIP("ff05::1234"), Port: 9, Zone: "eth0"}
			c, err := net.ListenMulticastUDP("udp6", eth0, group) // without the kernel's own copy
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.WriteTo([]byte("?"), group); err != nil {
				return err
			}
			c.SetReadDeadline(time.Now().Add(wait))
			_, _, err = c.ReadFrom(make([]byte, 9))
			back = err == nil
			return nil
		})
		return back
	}
	if comesBack(300 * time.Millisecond) {
		t.Error("a multicast packet comes back")
	}
	runNFT(t, "delete table bridge "+mark.Table(topology.Name))
	if !comesBack(10 * time.Second) {
		t.Error("without the rule, a multicast packet does not come back either")
	}
	plan, err := k.Plan(want)
	if err != nil || len(plan) != 1 || plan[0].String() != "+ nat hairpin red-eth0" {
		t.Errorf("plan %v, %v", plan, err)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if comesBack(300 * time.Millisecond) {
		t.Error("a multicast packet comes back after the second up")
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func runNFT(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("nft", strings.Fields(command)...).CombinedOutput(); err != nil {
		t.Fatalf("nft %s: %v\n%s", command, err, out)
	}
}

// TestForeignTableOfLab: a table that vnet did not make stays, although it has the name of the lab's.
func TestForeignTableOfLab(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	topology := labtest.MustParse(t, "lab.yaml", hairpinLab)
	topology.BridgeNetfilter = true
	want, err := lab.Compile(topology)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ family, content string }{
		{"inet", "add set %s theirs { type ipv4_addr ; }"},
		{"inet", "add chain %s theirs { type filter hook forward priority 0 ; }"},
		{"bridge", "add chain %s theirs { type filter hook forward priority 0 ; }"},
	} {
		table := tt.family + " " + mark.Table(topology.Name)
		runNFT(t, "add table "+table)
		runNFT(t, fmt.Sprintf(tt.content, table))
		if up, err := IsUp(topology.Name); up || err != nil {
			t.Errorf("%s %q is taken for a lab: %v", table, tt.content, err)
		}
		before := machineState(t)
		k := openWithoutCleanup(t, topology.Name)
		if _, err := k.Up(t.Context(), want, nil); err == nil ||
			!strings.Contains(err.Error(), "add table "+table+": not made by vnet") {
			t.Errorf("%s: %v", table, err)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if now := machineState(t); now != before {
			t.Errorf("%s: the machine was\n%s\nand is\n%s", table, before, now)
		}
		k.Close()
		runNFT(t, "delete table "+table)
		c, err := nft.Dial(nil)
		if err != nil {
			t.Fatal(err)
		}
		if tables, err := c.Tables(); err != nil || len(tables) > 0 {
			t.Errorf("%v, %v", tables, err)
		}
		c.Close()
	}
}

const antispoofLab = `
name: honest
networks: {sw: {subnets: [10.0.6.0/24, "fd00:6::/64"], antispoof: true}}
hosts:
  red: {networks: {sw: {mac: "02:00:00:00:06:02"}}}
  blue: {networks: {sw: {address: [10.0.6.3, "fd00:6::3"]}}}
`

// TestAntispoofOfLab: a host reaches its neighbour from its own addresses only. If somebody deletes a rule,
// this is drift, and up makes it again; a changed address is a changed rule.
func TestAntispoofOfLab(t *testing.T) {
	labtest.NeedIP(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	name, want := labtest.Compiled(t, antispoofLab)
	before := machineState(t)
	k := openKernel(t, name)
	up := func(want topo.State) {
		t.Helper()
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
	}
	up(want)
	serve(t, k, "blue", ":80")
	reaches := func(what string, want bool, from, to string) {
		t.Helper()
		wait := 300 * time.Millisecond
		if want {
			wait = 10 * time.Second
		}
		red, err := k.table.Handle("red")
		if err != nil {
			t.Fatal(err)
		}
		err = red.RunInside(func() error {
			d := net.Dialer{Timeout: wait, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			c, err := d.Dial("tcp", net.JoinHostPort(to, "80"))
			if err == nil {
				c.Close()
			}
			return err
		})
		if (err == nil) != want {
			t.Errorf("%s, from %s: %v", what, from, err)
		}
	}
	labtest.IP(t, "-n red addr add 10.0.6.9/24 dev eth0")
	labtest.IP(t, "-n red addr add fd00:6::9/64 dev eth0 nodad")
	check := func(what string, spoofed bool) {
		t.Helper()
		reaches(what, true, "10.0.6.2", "10.0.6.3")
		reaches(what, true, "fd00:6::2", "fd00:6::3")
		reaches(what, spoofed, "10.0.6.9", "10.0.6.3")
		reaches(what, spoofed, "fd00:6::9", "fd00:6::3")
	}
	check("up", false)
	runNFT(t, "delete table bridge "+mark.Table(name))
	check("without rules", true)
	labtest.IP(t, "-n red addr del 10.0.6.9/24 dev eth0")
	labtest.IP(t, "-n red addr del fd00:6::9/64 dev eth0")
	if plan, err := k.Plan(want); err != nil || len(plan) != 8 {
		t.Errorf("plan %v, %v", plan, err)
	}
	up(want)
	_, changed := labtest.Compiled(t, strings.Replace(antispoofLab, `{mac: "02:00:00:00:06:02"}`,
		`{mac: "02:00:00:00:06:03", address: [10.0.6.7, "fd00:6::7"]}`, 1))
	up(changed)
	reaches("changed", true, "10.0.6.7", "10.0.6.3")
	reaches("changed", true, "fd00:6::7", "fd00:6::3")
	if plan, err := k.Plan(changed); err != nil || len(plan) > 0 {
		t.Errorf("after a change: plan %v, %v", plan, err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if now := machineState(t); now != before {
		t.Errorf("the machine was\n%s\nand is\n%s", before, now)
	}
}

// serve accepts TCP connections in a host.
func serve(t *testing.T, k *Kernel, host, address string) {
	t.Helper()
	h, err := k.table.Handle(host)
	if err != nil {
		t.Fatal(err)
	}
	err = h.RunInside(func() error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				c.Close()
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
