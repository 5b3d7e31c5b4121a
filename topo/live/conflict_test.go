package live

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

const conflictLab = `
name: mine
networks: {lan: {subnets: [10.0.6.0/24, "fd00:6::/64"], nat: true}}
hosts: {web: {networks: [lan], ports: ["8080:80", "127.0.0.1:8081:81", "5353:53/udp", "9000-9010:9000-9010"]}}
`

// Up reports all names that the lab needs and that exist already, with their owners, before
// it changes anything.
func TestNameConflicts(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	other, have := labtest.Compiled(t, "name: other\nnetworks: {lan: {}}\nhosts: {web: {}}")
	theirs := openKernel(t, other)
	if _, err := theirs.Up(t.Context(), have, nil); err != nil {
		t.Fatal(err)
	}
	labtest.IP(t, "link add web-eth0 type veth peer name web-far")
	t.Cleanup(func() { labtest.IP(t, "link del web-eth0") })
	lab, want := labtest.Compiled(t, conflictLab)
	k := openKernel(t, lab)
	before := machineState(t)
	_, err := k.Up(t.Context(), want, func(topo.Plan, topo.Do) topo.Do {
		t.Error("Up started to change the machine")
		return k.Do
	})
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	for _, text := range []string{
		"netns web: namespace web already exists and belongs to lab other",
		"link lan already exists and belongs to lab other",
		"link web-eth0 already exists and belongs to no lab",
	} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in:\n%v", text, err)
		}
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// Routes of the machine and missing uplinks are conflicts. Routes of another table or with another metric are none.
func TestConflictsOfTheMachine(t *testing.T) {
	for _, args := range []string{
		"link add other9 type bridge", "link set other9 addrgenmode none", // no address that is tentative for a while
		"link set other9 up", "addr add 10.1.0.1/24 dev other9",
		"addr add fd01::1/64 dev other9 nodad", "route add 10.50.0.0/16 via 10.1.0.9",
		"-6 route add fd50::/16 via fd01::9", "route add 10.51.0.0/16 via 10.1.0.9 metric 7",
		"route add 10.52.0.0/16 via 10.1.0.9 table 77", "-6 route add fd52::/16 via fd01::9 table 77",
	} {
		labtest.IP(t, args)
	}
	t.Cleanup(func() {
		labtest.IP(t, "link del other9")
		for _, args := range []string{"route flush table 77", "-6 route flush table 77"} {
			labtest.IP(t, args)
		}
	})
	text := func(more, uplink string) string {
		return "name: mine\nnetworks: {n1: {subnets: [10.9.0.0/24, \"fd09::/64\"]" + uplink + "}}\n" +
			"hosts: {machine: {routes: [" + more + "]}, h1: {networks: [n1], router: true}}"
	}
	fine := text(`"10.51.0.0/16 via 10.9.0.2", "10.52.0.0/16 via 10.9.0.2", "fd52::/16 via fd09::2"`, "")
	for _, tt := range []struct{ lab, want string }{
		{text(`"10.50.0.0/16 via 10.9.0.2"`, ""),
			"the machine has such a route already, via 10.1.0.9; to keep both, give the lab's route a metric"},
		{text(`"fd50::/16 via fd09::2"`, ""), "the machine has such a route already, via fd01::9; to keep both"},
		{text("", ", uplink: nope9"), "there is no link nope9"},
		{fine, ""},
	} {
		t.Run(tt.want, func(t *testing.T) { testConflict(t, tt.lab, tt.want) })
	}
}

// testConflict checks that NameConflicts and Up find the same conflict before anything changes; none if text is "".
func testConflict(t *testing.T, lab, text string) {
	name, want := labtest.Compiled(t, lab)
	k := openKernel(t, name)
	before := machineState(t)
	plan, err := k.Plan(want)
	if err != nil {
		t.Fatal(err)
	}
	err = k.NameConflicts(plan)
	_, upErr := k.Up(t.Context(), want, func(_ topo.Plan, do topo.Do) topo.Do {
		if text != "" {
			t.Error("Up began to change the machine")
		}
		return do
	})
	if got := fmt.Sprint(err); got != fmt.Sprint(upErr) || text == "" && err != nil || !strings.Contains(got, text) {
		t.Errorf("%s\nNameConflicts: %v\nUp: %v", lab, err, upErr)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// Conflicts finds programs that listen on a port that the lab forwards, foreign forwards of
// the same port, and foreign addresses that overlap the lab's.
func TestConflicts(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft to make foreign rules with")
	}
	unix.Mkdir("/run/etc-netns", 0o755)
	other, have := labtest.Compiled(t, `
name: other
networks: {theirs: {subnets: ["fd00:7::/64"], nat: true}}
hosts: {pc: {networks: [theirs], ports: ["9005:22"]}}`)
	forward := nft.Forward{Proto: nft.TCP, Ports: nft.Port(9010), To: netip.MustParseAddr("10.8.8.8"), ToPort: 9010}
	if _, err := AddNAT(nil, NATTable, forward); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := FlushNAT(nil, NATTable); err != nil {
			t.Error(err)
		}
	})
	theirs := openKernel(t, other)
	if _, err := theirs.Up(t.Context(), have, nil); err != nil {
		t.Fatal(err)
	}
	labtest.IP(t, "link set lo up")
	labtest.IP(t, "link add ether9 type bridge")
	t.Cleanup(func() { labtest.IP(t, "link del ether9") })
	labtest.IP(t, "addr add 10.0.6.200/25 dev ether9")
	shell(t, `nft -f - <<'.'
table ip foreign { chain pre { type nat hook prerouting priority dstnat
	udp dport 5353 dnat to 10.9.9.9
	udp dport 8080 dnat to 10.9.9.9
	}
}
.`)
	t.Cleanup(func() { shell(t, "nft delete table ip foreign") })
	for _, at := range []string{"[::]:8080", "127.0.0.1:8081"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	for _, at := range []string{"127.0.0.1:5353", "[::1]:8081"} { // UDP; the lab forwards only the first port over UDP
		c, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	lab, want := labtest.Compiled(t, conflictLab)
	k := openKernel(t, lab)
	plan, err := k.Plan(want)
	if err != nil {
		t.Fatal(err)
	}
	found, err := k.Conflicts(plan)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range found {
		got = append(got, c.String())
	}
	wantTexts := []string{
		"nat dnat -p tcp --dport 8080 --to-destination 10.0.6.2:80: " +
			"a program already listens on [::]:8080: it will not be reachable there any more",
		"nat dnat -p tcp --dport 9000:9010 --to-destination 10.0.6.2:9000-9010: " +
			"vnet nat already forwards this port: tcp dport 9010 dnat ip to 10.8.8.8:9010",
		"nat dnat -p tcp -6 --dport 8080 --to-destination [fd00:6::2]:80: " +
			"a program already listens on [::]:8080: it will not be reachable there any more",
		"nat dnat -p tcp -6 --dport 9000:9010 --to-destination [fd00:6::2]:9000-9010: " +
			"lab other already forwards this port: tcp dport 9005 dnat ip6 to [fd00:7::2]:22",
		"nat dnat -p tcp -d 127.0.0.1 --dport 8081 --to-destination 10.0.6.2:81: " +
			"a program already listens on 127.0.0.1:8081: it will not be reachable there any more",
		"nat dnat -p udp --dport 5353 --to-destination 10.0.6.2:53: " +
			"the rule with handle 2 of chain ip foreign pre already takes packets to this port",
		"addr 10.0.6.1/24 dev lan: link ether9 already has 10.0.6.200/25: " +
			"packets for that subnet may leave through the wrong link",
	}
	if diff := cmp.Diff(wantTexts, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error("conflicts must not make Up fail: ", err)
	}
	if plan, err := k.Plan(want); err != nil || len(plan) > 0 {
		t.Error(plan, err)
	}
}

// TestForwardDropsAreNoted: each foreign chain that drops what the lab forwards is a note: of nftables and of
// iptables-legacy, for routed packets and for those between the ports of a bridge.
func TestForwardDropsAreNoted(t *testing.T) {
	const routed, bridged = guardedLab, "name: mine\nnetworks: {lan: {}}\nhosts: {a: {networks: [lan]}}"
	nfCall := "sysctl -qw net.bridge.bridge-nf-call-iptables="
	for _, tt := range []struct{ lab, drop, remove, chain string }{
		{routed, "nft 'table ip other { chain stop { type filter hook forward priority 0; policy drop; }; }'",
			"nft delete table ip other", "chain ip other stop"},
		{routed, "nft 'table inet other { chain stop { type filter hook forward priority 0; ct state new reject; drop; }; }'",
			"nft delete table inet other", "chain inet other stop"},
		{routed, "nft 'table ip other { chain stop { type filter hook forward priority 0; policy drop; " +
			"ip saddr 10.0.9.0/24 accept; ip daddr 10.0.9.0/24 accept; }; }'", "nft delete table ip other", ""},
		{routed, "nft 'table ip6 other { chain stop { type filter hook forward priority 0; ip6 daddr fd00:9::/64 drop; }; }'",
			"nft delete table ip6 other", "chain ip6 other stop"},
		{routed, "nft 'table ip other { chain stop { type filter hook prerouting priority 0; iifname sw drop; }; }'",
			"nft delete table ip other", "chain ip other stop"},
		{routed, "iptables-legacy -P FORWARD DROP", "iptables-legacy -P FORWARD ACCEPT",
			"chain ip filter FORWARD (iptables-legacy)"},
		{bridged, "nft 'table bridge other { chain stop { type filter hook forward priority 0; policy drop; }; }'",
			"nft delete table bridge other", "chain bridge other stop"},
		{bridged, nfCall + "1 && nft 'table ip other { chain stop { type filter hook forward priority 0; policy drop; }; }'",
			"nft delete table ip other", "chain ip other stop"},
		{bridged, nfCall + "0; nft 'table ip other { chain stop { type filter hook forward priority 0; policy drop; }; }'",
			"nft delete table ip other", ""},
	} {
		t.Run(tt.drop, func(t *testing.T) {
			if out, err := exec.Command("sh", "-c", tt.drop).CombinedOutput(); err != nil {
				t.Skipf("not possible here: %s", out)
			}
			defer shell(t, tt.remove)
			if _, err := os.ReadFile("/proc/net/ip_tables_names"); strings.Contains(tt.drop, "legacy") && err != nil {
				t.Skip(err) // in a namespace that the kernel made before it knew the ids of its user namespace
			}
			name, want := labtest.Compiled(t, tt.lab)
			k := openKernel(t, name)
			plan, err := k.Plan(want)
			if err != nil {
				t.Fatal(err)
			}
			found, err := k.Conflicts(plan)
			switch {
			case err != nil:
				t.Error(err)
			case tt.chain == "" && len(found) > 0,
				tt.chain != "" && (len(found) != 1 || !strings.Contains(found[0].String(), tt.chain+" drops forwarded packets")):
				t.Errorf("%s: %v", tt.drop, found)
			}
		})
	}
}

// TestConflictsOfAnAdoptedNamespace: links and routes of a namespace to adopt are found before anything changes, and
// what the error says to write works. This is the case of a container.
func TestConflictsOfAnAdoptedNamespace(t *testing.T) {
	for _, args := range []string{
		"netns add container", "-n container link add eth0 type veth peer name eth9", "-n container link set eth0 up",
		"-n container link set eth9 up", "-n container addr add 172.17.0.2/16 dev eth0",
		"-n container addr add fd00:17::2/64 dev eth0 nodad", "-n container route add default via 172.17.0.1",
		"-n container -6 route add default via fd00:17::1",
	} {
		labtest.IP(t, args)
	}
	t.Cleanup(func() { labtest.IP(t, "netns del container") })
	up := func(t *testing.T, networks, routes string) error {
		t.Helper()
		name, want := labtest.Compiled(t, `
name: mine
networks: {n1: {subnets: [10.5.0.0/24, "fd00:5::/64"]}}
hosts: {c: {namespace: container, networks: `+networks+`, routes: [`+routes+`]}}`)
		k := openKernel(t, name)
		before := machineState(t)
		_, err := k.Up(t.Context(), want, nil)
		if diff := cmp.Diff(before, machineState(t)); err != nil && diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
		if err == nil {
			_, downErr := k.Down(t.Context(), nil)
			err = downErr
		}
		return err
	}
	for _, tt := range []struct{ networks, routes, want string }{
		{"[n1]", `"default via 10.5.0.1 metric 9", "default via fd00:5::1 metric 9"`,
			"the namespace of c has a link eth0 already; give the lab's device another name, " +
				"for example networks: {NETWORK: {name: lab0}}"},
		{"{n1: {name: lab0}}", `"default via fd00:5::1 metric 9"`,
			"the namespace of c has such a route already, via 172.17.0.1; to keep both, give c a route with a metric: " +
				`routes: ["default metric 2000 via 10.5.0.1 dev lab0"]`},
		{"{n1: {name: lab0}}", `"default via 10.5.0.1 metric 9"`,
			"the namespace of c has such a route already, via fd00:17::1; to keep both, give c a route with a metric: " +
				`routes: ["::/0 metric 2000 via fd00:5::1 dev lab0"]`},
		{"{n1: {name: lab0}}", `"default metric 2000 via 10.5.0.1 dev lab0", "::/0 metric 2000 via fd00:5::1 dev lab0"`, ""},
	} {
		t.Run(tt.networks+tt.routes, func(t *testing.T) {
			err := up(t, tt.networks, tt.routes)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Error(err)
			}
		})
	}
}
