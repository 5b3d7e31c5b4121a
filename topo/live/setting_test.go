package live

import (
	"context"
	"errors"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

// TestEmptySysctlIsRestored: a sysctl whose former value is empty is empty again after a failed up, and after the last
// of the labs that set it.
func TestEmptySysctlIsRestored(t *testing.T) {
	const key = "net/ipv4/ip_local_reserved_ports"
	wantSysctl(t, key, "")
	lab := func(name string) (*Kernel, topo.State) {
		_, want := labtest.Compiled(t, "name: "+name+"\nhosts: {machine: {sysctls: "+
			"{net.ipv4.ip_local_reserved_ports: 8080}}, h"+name+": {run: ['true']}}\n")
		return openKernel(t, name), want
	}
	one, wantOne := lab("one")
	two, wantTwo := lab("two")
	failed := errors.New("no programs")
	_, err := one.Up(t.Context(), wantOne, func(_ topo.Plan, do topo.Do) topo.Do {
		return func(ctx context.Context, stage []topo.Step) error {
			if _, runs := stage[0].Object().(topo.Process); runs {
				wantSysctl(t, key, "8080")
				return failed
			}
			return do(ctx, stage)
		}
	})
	if !errors.Is(err, failed) {
		t.Errorf("up returned %v", err)
	}
	wantSysctl(t, key, "")
	for _, step := range []struct {
		kernel *Kernel
		want   topo.State
		value  string
	}{{one, wantOne, "8080"}, {two, wantTwo, "8080"}, {one, nil, "8080"}, {two, nil, ""}} {
		if step.want == nil {
			_, err = step.kernel.Down(t.Context(), nil)
		} else {
			_, err = step.kernel.Up(t.Context(), step.want, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		wantSysctl(t, key, step.value)
	}
}

// TestOddValues: values that the kernel reports otherwise than the file writes them are as wanted after an up.
func TestOddValues(t *testing.T) {
	_, want := labtest.Compiled(t, `name: odd
networks: {n: {subnets: [10.0.0.0/24, 'fd00::/64']}}
hosts:
  red:
    networks: n
    devices: {lo: {addresses: [10.255.0.1/24, 'fd00:255::1/128']}}
    sysctls:
      net.ipv4.ip_default_ttl: 0100
      net.ipv4.ip_local_reserved_ports: 8081,8080
      net.ipv4.conf.all.rp_filter: 0x1
      net.ipv4.conf.eth0.medium_id: -0x1
      net.ipv4.tcp_rmem: 0x1000 131072  6291456
      net.ipv6.conf.all.disable_ipv6: 1
      net.ipv6.conf.eth0.disable_ipv6: 0
      net.ipv6.conf.lo.disable_ipv6: 0
      net.ipv6.conf.eth0.stable_secret: fd00::1
    routes:
      - 10.0.0.0/24 dev eth0 metric 5
      - 10.1.0.0/16 via 10.0.0.1 src 10.255.0.77
      - 10.2.0.0/16 via 10.0.0.1 src 127.0.0.1 mtu 65520
      - 10.255.0.0/24 dev lo
      - blackhole 10.3.0.0/16 src 10.0.0.99
      - fd00::/64 dev eth0
      - fd01::/64 via fd00::1 src fd00:255::1 mtu 65520
      - fd02::/64 dev eth0 onlink
      - blackhole fd03::/64 src ::1
    rules: [-4 realms 5 lookup 5, tos 0x10 dport 80-80 uidrange 0-0 lookup 5]
  blue:
    networks: {n: {address: [10.0.0.9/32, 'fd00::9/128']}}
    routes: [10.0.0.1 dev eth0, 'fd00::1 dev eth0']
`)
	k := openKernel(t, "odd")
	upTwice(t, k, want)
	secret := topo.Sysctl{NS: "red", Name: "net.ipv6.conf.eth0.stable_secret"}
	delete(want, secret.Key()) // it stays, but is no longer the lab's
	upTwice(t, k, want)
}

// TestPassthru: a macvlan of mode passthru has the MAC address of its parent.
func TestPassthru(t *testing.T) {
	_, want := labtest.Compiled(t, `name: odd
networks: {n: {subnets: 10.0.0.0/24}}
hosts: {red: {networks: n, devices: {m0: {type: macvlan, parent: eth0, mode: passthru}}}}
`)
	upTwice(t, openKernel(t, "odd"), want)
}

// upTwice checks that after an up there is nothing to do.
func upTwice(t *testing.T, k *Kernel, want topo.State) {
	t.Helper()
	var missing *MissingFeatureError
	if _, err := k.Up(t.Context(), want, nil); errors.As(err, &missing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if plan, err := k.Plan(want); err != nil || len(plan) > 0 {
		t.Errorf("after up: %v\n%s", err, plan)
	}
}

// TestFragmentMemory: the two limits of the memory for fragments are written in an order that the kernel accepts.
func TestFragmentMemory(t *testing.T) {
	name, want := labtest.Compiled(t, `
name: frag
hosts:
  less:
    sysctls: {net.ipv4.ipfrag_high_thresh: 1000000, net.ipv4.ipfrag_low_thresh: 500000,
      net.ipv6.ip6frag_high_thresh: 1000000, net.ipv6.ip6frag_low_thresh: 500000}
  more:
    sysctls: {net.ipv4.ipfrag_high_thresh: 9000000, net.ipv4.ipfrag_low_thresh: 8000000,
      net.ipv6.ip6frag_high_thresh: 9000000, net.ipv6.ip6frag_low_thresh: 8000000}
`)
	k := openKernel(t, name)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
