package verify

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/lab"
)

// runIP runs a script that creates namespaces with the real tools, and returns a prober whose
// hosts are these namespaces. They are removed when the test ends.
func runIP(t testing.TB, script string) *prober {
	t.Helper()
	labtest.NeedIP(t)
	t.Cleanup(func() {
		entries, _ := nsfs.List()
		for _, e := range entries {
			if err := nsfs.Remove(e.Name); err != nil {
				t.Error(err)
			}
		}
	})
	if out, err := exec.Command("sh", "-xec", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := newProber(nsfs.Open, func(host string) string { return "/etc/netns/" + host })
	p.timeout = 800 * time.Millisecond
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// probe probes a fact with a new token and the timeout of the prober.
func (p *prober) probe(f lab.Fact) (Answer, error) {
	return p.probeFact(f, newToken(), time.Now().Add(p.timeout))
}

// threeHostsScript creates red ── router ── blue. Blue has firewall rules that drop and reject in
// different ways. The ends of each veth pair have different indexes: with equal ones the kernel
// would detect the carrier a second late. The hosts do not limit the rate of ICMP errors, except of
// routes that refuse: five at once, and then one a second.
const threeHostsScript = `
ip -batch - <<.
netns add red
netns add router
netns add blue
.
for n in red router blue; do
	ip netns exec $n sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
	ip netns exec $n sh -c 'cd /proc/sys/net; echo 0 >ipv4/icmp_ratelimit; echo 0 >ipv6/icmp/ratelimit'
done
ip -n router -batch - <<.
link set lo up
link add left type veth peer name eth0 index 20 netns red
link add right mtu 1300 type veth peer name eth0 index 20 netns blue
link set left up
link set right up
addr add 10.0.1.1/24 dev left
addr add fd00:1::1/64 dev left nodad
addr add 10.0.2.1/24 dev right
addr add fd00:2::1/64 dev right nodad
route add blackhole 10.9.1.0/24
route add unreachable 10.9.2.0/24
route add prohibit 10.9.3.0/24
.
ip netns exec router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
ip -n red -batch - <<.
link set lo up
addr add 10.0.1.2/24 dev eth0
addr add fd00:1::2/64 dev eth0 nodad
link set eth0 up
route add default via 10.0.1.1
route add default via fd00:1::1
route add blackhole 10.8.1.0/24
route add unreachable 10.8.2.0/24
route add prohibit 10.8.3.0/24
.
ip -n blue -batch - <<.
link set lo up
addr add 10.0.2.2/24 dev eth0
addr add fd00:2::2/64 dev eth0 nodad
link set eth0 up
route add default via 10.0.2.1
route add default via fd00:2::1
.
ip netns exec blue nft -f - <<.
table inet fw {
	chain in {
		type filter hook input priority 0
		tcp dport 81 drop
		tcp dport 82 reject with tcp reset
		tcp dport 83 reject with icmpx admin-prohibited
		tcp dport 84 reject with icmpx host-unreachable
		udp dport 81 drop
		udp dport 83 reject with icmpx admin-prohibited
	}
}
.
for end in 'router left' 'router right' 'red eth0' 'blue eth0'; do
	set -- $end
	until ip -n $1 link show $2 | grep -q 'state UP'; do :; done # the kernel checks the carrier once a second
	until ip -n $1 -6 maddr show dev $2 | grep -q ff02::1:ff00:; do :; done # a worker joins the group
done
`

// resend makes the three hosts send a lost neighbour request again after 50 ms. A test that waits for
// less than the kernel's second needs that: all namespaces of a machine share the packet queues.
const resend = `
for end in 'router left' 'router right' 'red eth0' 'blue eth0'; do
	set -- $end
	for table in arp_cache ndisc_cache; do ip -n $1 ntable change name $table dev $2 retrans 50; done
done
`

func TestProbes(t *testing.T) {
	p := runIP(t, threeHostsScript)
	p.timeout = probeTimeout // the kernel limits the rate of ICMP errors of routes
	blue := netip.MustParseAddr("10.0.2.2")
	blue6 := netip.MustParseAddr("fd00:2::2")
	red, red6 := netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("fd00:1::2")
	router, router6 := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00:1::1")
	addr := netip.MustParseAddr
	var none netip.Addr
	cases := []struct {
		probe string
		to    netip.Addr
		port  uint16 // in blue; the prober listens there, except on port 80
		size  int
		want  Answer
	}{
		{lab.ProbePing, blue, 0, 0, Answer{lab.Answered, 0, red, "", none}},
		{lab.ProbePing, blue6, 0, 0, Answer{lab.Answered, 0, red6, "", none}},
		{lab.ProbePing, blue, 0, 1300, Answer{lab.Answered, 0, red, "", none}},
		{lab.ProbePing, blue, 0, 1301, Answer{lab.Unreachable, 0, none, "packet too big, fragmentation needed", router}},
		{lab.ProbePing, blue6, 0, 1300, Answer{lab.Answered, 0, red6, "", none}},
		{lab.ProbePing, blue6, 0, 1301, Answer{lab.Unreachable, 0, none, "packet too big", router6}},
		{lab.ProbePing, blue, 0, 1501, Answer{lab.Unreachable, 0, none, "packet too big", none}},
		{lab.ProbePing, blue, 0, 28, Answer{lab.Answered, 0, none, "", none}},
		{lab.ProbePing, addr("10.9.1.1"), 0, 0, Answer{lab.Unreachable, 0, none, "", none}},
		{lab.ProbePing, addr("10.9.2.1"), 0, 0, Answer{lab.Unreachable, 0, none, "host unreachable", router}},
		{lab.ProbePing, addr("10.9.3.1"), 0, 0, Answer{lab.Refused, 0, none, "administratively prohibited", router}},
		{lab.ProbePing, addr("10.8.1.1"), 0, 0, Answer{lab.Unreachable, 0, none, "discarded by a blackhole route", none}},
		{lab.ProbePing, addr("10.8.2.1"), 0, 0, Answer{lab.Unreachable, 0, none, "no route to host", none}},
		{lab.ProbePing, addr("10.8.3.1"), 0, 0, Answer{lab.Refused, 0, none, "prohibited by a route", none}},
		{lab.ProbePing, addr("10.0.1.77"), 0, 0, Answer{lab.Unreachable, 0, none, "", none}},

		{lab.ProbeTCP, blue, 7, 0, Answer{lab.Answered, 0, red, "", none}},
		{lab.ProbeTCP, blue6, 7, 0, Answer{lab.Answered, 0, red6, "", none}},
		{lab.ProbeTCP, blue, 80, 0, Answer{lab.Refused, 0, none, "connection refused", none}},
		{lab.ProbeTCP, blue6, 80, 0, Answer{lab.Refused, 0, none, "connection refused", none}},
		{lab.ProbeTCP, blue, 81, 0, Answer{lab.Unreachable, 0, none, "", none}},
		{lab.ProbeTCP, blue, 82, 0, Answer{lab.Refused, 0, none, "connection refused", none}},
		{lab.ProbeTCP, blue, 83, 0, Answer{lab.Refused, 0, none, "administratively prohibited", blue}},
		{lab.ProbeTCP, blue6, 83, 0, Answer{lab.Refused, 0, none, "administratively prohibited", blue6}},
		{lab.ProbeTCP, blue, 84, 0, Answer{lab.Unreachable, 0, none, "host unreachable", blue}},
		{lab.ProbeTCP, blue6, 84, 0, Answer{lab.Unreachable, 0, none, "address unreachable", blue6}},
		{lab.ProbeTCP, addr("10.9.2.1"), 7, 0, Answer{lab.Unreachable, 0, none, "host unreachable", router}},

		{lab.ProbeUDP, blue, 7, 0, Answer{lab.Answered, 0, red, "", none}},
		{lab.ProbeUDP, blue6, 7, 0, Answer{lab.Answered, 0, red6, "", none}},
		{lab.ProbeUDP, blue, 80, 0, Answer{lab.Refused, 0, none, "port unreachable", blue}},
		{lab.ProbeUDP, blue6, 80, 0, Answer{lab.Refused, 0, none, "port unreachable", blue6}},
		{lab.ProbeUDP, blue, 81, 0, Answer{lab.Unreachable, 0, none, "", none}},
		{lab.ProbeUDP, blue, 83, 0, Answer{lab.Refused, 0, none, "administratively prohibited", blue}},
		{lab.ProbeUDP, blue6, 83, 0, Answer{lab.Refused, 0, none, "administratively prohibited", blue6}},
	}
	t.Run("parallel", func(t *testing.T) {
		for _, c := range cases {
			name := fmt.Sprintf("%s %s port %d size %d", c.probe, c.to, c.port, c.size)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				x := lab.Expectation{From: "red", Probe: c.probe, Port: c.port, Size: c.size, Outcome: lab.Answered}
				x.Seen = c.want.Seen
				if c.port == 80 {
					x.Outcome = lab.Refused
				}
				f := lab.Fact{Expectation: x, Target: c.to, Server: "blue", ServerAddr: c.to, ServerPort: c.port}
				if c.to != blue && c.to != blue6 {
					f.Server = "" // no host has these addresses
				}
				var got Answer
				for tries := 0; tries < 3 && got != c.want; tries++ { // a busy machine loses packets
					var err error
					if got, err = p.probe(f); err != nil {
						t.Fatal(err)
					}
					if got.Time <= 0 || got.Time > 2*p.timeout {
						t.Errorf("took %s", got.Time)
					}
					got.Time = 0
				}
				if got != c.want {
					t.Errorf("got  %+v\nwant %+v", got, c.want)
				}
			})
		}
	})
}

// TestProbesInFlight has thousands of echo requests in flight over one socket.
func TestProbesInFlight(t *testing.T) {
	p := runIP(t, threeHostsScript)
	p.timeout = time.Minute // an emulated CPU is slow, and no request may be lost
	const n = 5000
	start := time.Now()
	var wg sync.WaitGroup
	var lost sync.Map
	for i := range n {
		wg.Go(func() {
			ping := lab.Expectation{From: "red", Probe: lab.ProbePing}
			f := lab.Fact{Expectation: ping, Target: netip.MustParseAddr("10.0.2.2"), Server: "blue"}
			if a, err := p.probe(f); err != nil || a.Outcome != lab.Answered {
				lost.Store(i, fmt.Sprint(a, err))
			}
		})
	}
	wg.Wait()
	lost.Range(func(i, a any) bool { t.Errorf("echo %d: %v", i, a); return false })
	t.Logf("%d echo requests in %s", n, time.Since(start))
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil || len(entries) > 30 {
		t.Errorf("%d files open: %v", len(entries), err)
	}
}
