package live

import (
	"errors"
	"io/fs"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
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
		"nat dnat -p tcp -6 --dport 8080 --to-destination [fd00:6::2]:80: " +
			"a program already listens on [::]:8080: it will not be reachable there any more",
		"nat dnat -p tcp -6 --dport 9000:9010 --to-destination [fd00:6::2]:9000-9010: " +
			"lab other already forwards this port: tcp dport 9005 dnat ip6 to [fd00:7::2]:22",
		"nat dnat -p tcp -d 127.0.0.1 --dport 8081 --to-destination 10.0.6.2:81: " +
			"a program already listens on 127.0.0.1:8081: it will not be reachable there any more",
		"nat dnat -p udp --dport 5353 --to-destination 10.0.6.2:53: " +
			"a foreign nftables rule already forwards this port: udp dport 5353 dnat ip to 10.9.9.9:5353",
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

// TestForwardDropsAreNoted: a foreign chain that drops what the lab forwards is a note.
func TestForwardDropsAreNoted(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	add := "add table ip other; add chain ip other stop { type filter hook forward priority 0; policy drop; }"
	if out, err := exec.Command("nft", add).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer exec.Command("nft", "delete table ip other").Run()
	name, want := labtest.Compiled(t, guardedLab)
	k := openKernel(t, name)
	plan, err := k.Plan(want)
	if err != nil {
		t.Fatal(err)
	}
	found, err := k.Conflicts(plan)
	const drops = "chain ip other stop drops forwarded packets"
	if err != nil || len(found) != 1 || !strings.Contains(found[0].String(), drops) {
		t.Errorf("%v, %v", found, err)
	}
}
