package live

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
)

const isolatedLab = `
name: isolated
networks: {sw: {subnets: [10.0.8.0/24, "fd00:8::/64"], isolate: true, nat: true}}
hosts: {a: {networks: [sw]}, b: {networks: [sw]}}
`

// TestIsolatedThroughGateway: a host with a route to its neighbour through the gateway does not reach
// it. Without the rule it does.
func TestIsolatedThroughGateway(t *testing.T) {
	labtest.NeedIP(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	name, want := labtest.Compiled(t, isolatedLab)
	if _, err := openKernel(t, name).Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for _, route := range []string{
		"-n a route add 10.0.8.3/32 via 10.0.8.1", "-n b route add 10.0.8.2/32 via 10.0.8.1",
		"-n a -6 route add fd00:8::3/128 via fd00:8::1", "-n b -6 route add fd00:8::2/128 via fd00:8::1",
	} {
		labtest.IP(t, route)
	}
	reaches := func(addr string) bool {
		return exec.Command("ip", strings.Fields("netns exec a ping -c1 -W1 "+addr)...).Run() == nil
	}
	for _, addr := range []string{"10.0.8.1", "fd00:8::1"} {
		if !reaches(addr) {
			t.Errorf("%s, the gateway, is not reached", addr)
		}
	}
	for _, addr := range []string{"10.0.8.3", "fd00:8::3"} {
		if reaches(addr) {
			t.Errorf("%s is reached", addr)
		}
	}
	if out, err := exec.Command("nft", "flush", "chain", "inet", "vnet_isolated", "forward").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, addr := range []string{"10.0.8.3", "fd00:8::3"} {
		if !reaches(addr) {
			t.Errorf("%s is not reached without the rule: the test proves nothing", addr)
		}
	}
}
