package live

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// A machineStart is a state of the machine that others left: a script that makes it, and one that undoes it.
type machineStart struct{ name, script, undo string }

// machineStarts are the states from which laws 6 and 7 must hold, besides an empty machine.
var machineStarts = []machineStart{
	{
		"forwarding is on",
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
		"sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
	},
	{
		"one family and one link forward",
		"sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.conf.ext0.forwarding=1",
		"sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv4.conf.ext0.forwarding=0",
	},
	{"the rules of Docker", "nft -f - <<'E'\n" + dockerRules + "E", "nft delete table ip nat; nft delete table ip filter"},
	{
		"foreign addresses, routes and neighbours",
		"ip addr add 10.99.0.1/32 dev lo; ip addr add 172.31.7.1/24 dev ext0\n" +
			"ip addr add fd99::1/64 dev ext0 nodad; ip route add default via 172.31.7.2 dev ext0\n" +
			"ip neigh add 172.31.7.2 lladdr 02:00:00:00:00:09 dev ext0\n" +
			// The kernel adds this route a moment later.
			"until ip -6 route show table local | grep -q fd99::1; do :; done",
		"ip addr del 10.99.0.1/32 dev lo; ip addr flush dev ext0; ip neigh flush dev ext0 nud permanent",
	},
	{
		"rp_filter 1",
		"sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1",
		"sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
	},
	{
		"new links without IPv6",
		"sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.ext0.disable_ipv6=1",
		"sysctl -qw net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.ext0.disable_ipv6=0",
	},
}

// dockerRules are the tables of Docker 28 with one published port, as iptables-nft makes them.
const dockerRules = `table ip nat {
	chain DOCKER { iifname != "docker0" tcp dport 8081 dnat to 172.17.0.2:80; }
	chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump DOCKER; }
	chain OUTPUT { type nat hook output priority -100; ip daddr != 127.0.0.0/8 fib daddr type local jump DOCKER; }
	chain POSTROUTING { type nat hook postrouting priority srcnat;
		oifname != "docker0" ip saddr 172.17.0.0/16 masquerade
	}
}
table ip filter {
	chain DOCKER-USER { return; }
	chain DOCKER { ip daddr 172.17.0.2 iifname != "docker0" oifname "docker0" tcp dport 80 accept; }
	chain FORWARD { type filter hook forward priority filter; policy drop;
		jump DOCKER-USER
		oifname "docker0" ct state related,established accept
		oifname "docker0" jump DOCKER
		iifname "docker0" oifname != "docker0" accept
	}
}
`

// eachStart runs a test from each start with some examples.
func eachStart(t *testing.T, examples []string, test func(t *testing.T, k *Kernel, want topo.State)) {
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here", tool)
		}
	}
	privateEtc(t)
	unix.Mkdir("/run/etc-netns", 0o755)
	shell(t, "ip link add ext0 type veth peer name ext1\n"+
		"for l in ext0 ext1; do ip link set $l addrgenmode none; ip link set $l up; done\n"+
		// The kernel adds these routes a moment later.
		"until [ $(ip -6 route show table local | grep -c ff00::/8) = 2 ]; do :; done")
	t.Cleanup(func() { labtest.IP(t, "link del ext0") })
	for _, start := range machineStarts {
		for _, name := range examples {
			t.Run(start.name+"/"+name, func(t *testing.T) {
				shell(t, start.script)
				t.Cleanup(func() { shell(t, start.undo) })
				lab, want := example(t, name)
				test(t, openKernel(t, lab), want)
			})
		}
	}
}

// Law 6 from a machine that others use.
func TestLaw6_FromDirtyStart(t *testing.T) {
	examples := []string{"web.yaml", "cheatsheet.yaml", "double-nat.yaml"}
	eachStart(t, examples, func(t *testing.T, k *Kernel, want topo.State) {
		before := machineState(t)
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		checkIsUp(t, k, want)
		plan, err := k.Plan(nil)
		if err != nil {
			t.Fatal(err)
		}
		done, err := k.Down(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plan.String(), done.String()); diff != "" {
			t.Errorf("down did something else than planned (-planned +done):\n%s", diff)
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	})
}

// Law 7 from a machine that others use. The scripts run until the first command that fails.
func TestLaw7_FromDirtyStart(t *testing.T) {
	eachStart(t, []string{"web.yaml"}, func(t *testing.T, k *Kernel, want topo.State) {
		k.table.Etc = "/etc/netns" // where ip expects it
		before := machineState(t)
		up, err := k.Plan(want)
		if err != nil {
			t.Fatal(err)
		}
		shell(t, "set -e\n"+commandsOf(t, k, up))
		checkIsUp(t, k, want)
		down, err := k.Plan(nil)
		if err != nil {
			t.Fatal(err)
		}
		shell(t, "set -e\n"+commandsOf(t, k, down))
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	})
}

// commandsOf returns the script of a plan that was made from the last snapshot.
func commandsOf(t *testing.T, k *Kernel, p topo.Plan) string {
	t.Helper()
	script, err := p.Commands(k.table.Lab, k.have, NATScript())
	if err != nil {
		t.Fatal(err)
	}
	if why := rangesRefused(script); why != "" {
		t.Skipf("this nft cannot write a map of ranges on this kernel: %s", strings.TrimSpace(why))
	}
	return script
}

// checkIsUp checks that the kernel has what the lab wants, and that nothing is left to do.
func checkIsUp(t *testing.T, k *Kernel, want topo.State) {
	t.Helper()
	have, err := k.Snapshot(want)
	if err != nil {
		t.Fatal(err)
	}
	if !have.Equal(want) {
		t.Errorf("-want +got:\n%s", cmp.Diff(want.String(), have.String()))
	}
	if again, err := k.Up(t.Context(), want, nil); err != nil || len(again) != 0 {
		t.Errorf("the second up has steps: %v\n%s", err, again)
	}
}

// The script of a lab restores forwarding only after the last lab that needs it, as vnet does.
func TestCommandsBesideAnotherLab(t *testing.T) {
	labtest.NeedIP(t)
	privateEtc(t)
	labOf := func(name, subnet string) (*Kernel, topo.State) {
		lab, want := labtest.Compiled(t, "name: "+name+"\nnetworks: {"+name+"-n: {subnets: ["+subnet+"], nat: true}}\n"+
			"hosts: {"+name+"-h: {networks: ["+name+"-n]}}")
		k := openKernel(t, lab)
		k.table.Etc = "/etc/netns"
		return k, want
	}
	one, wantOne := labOf("one", "10.0.6.0/24")
	two, wantTwo := labOf("two", "10.0.7.0/24")
	script := func(k *Kernel, want topo.State) {
		p, err := k.Plan(want)
		if err != nil {
			t.Fatal(err)
		}
		shell(t, "set -e\n"+commandsOf(t, k, p))
	}
	before := machineState(t)
	for _, byScript := range [][4]bool{{false, true, false, true}, {true, false, true, false}, {true, true, true, true}} {
		for i, step := range []struct {
			k    *Kernel
			want topo.State
		}{{one, wantOne}, {two, wantTwo}, {one, nil}, {two, nil}} {
			switch {
			case byScript[i]:
				script(step.k, step.want)
			case step.want != nil:
				if _, err := step.k.Up(t.Context(), step.want, nil); err != nil {
					t.Fatal(err)
				}
			default:
				if _, err := step.k.Down(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			value, err := setting.Read(step.k.table.Machine(), linux.ForwardingIPv4)
			if err != nil || (value == "1") != (i < 3) {
				t.Errorf("%v, step %d: ip_forward is %s, %v", byScript, i, value, err)
			}
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("%v: the machine is not as before (-before +after):\n%s", byScript, diff)
		}
	}
}
