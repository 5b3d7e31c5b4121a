//go:build linux

package topo

import (
	"errors"
	"io/fs"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const conflictLab = `
name: mine
networks: {lan: {subnets: [10.0.6.0/24, "fd00:6::/64"], nat: true}}
hosts: {web: {networks: [lan], ports: ["8080:80", "127.0.0.1:8081:81", "5353:53/udp", "9000-9010:9000-9010"]}}
`

// TestTakenNames: what the lab needs a name of is there already. It is said of all, and
// whose they are, before anything is touched.
func TestTakenNames(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	other, have := compiled(t, "name: other\nnetworks: {lan: {}}\nhosts: {web: {}}")
	theirs := openKernel(t, other)
	if _, err := theirs.Up(t.Context(), have, nil); err != nil {
		t.Fatal(err)
	}
	ip(t, "link add web-eth0 type veth peer name web-far")
	t.Cleanup(func() { ip(t, "link del web-eth0") })
	lab, want := compiled(t, conflictLab)
	k := openKernel(t, lab)
	before := machine(t)
	_, err := k.Up(t.Context(), want, func(Plan, Do) Do {
		t.Error("it is begun")
		return k.Do
	})
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	for _, says := range []string{
		"netns web: there is a namespace web already, which is lab other's",
		"there is a link lan already, which is lab other's",
		"there is a link web-eth0 already, which is no lab's",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not in:\n%v", says, err)
		}
	}
	if diff := cmp.Diff(before, machine(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// TestConflicts: who listens on a port that the lab forwards, who forwards it, too, and
// whose addresses overlap the lab's, is found.
func TestConflicts(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft here to make somebody's rules with")
	}
	unix.Mkdir("/run/etc-netns", 0o755)
	other, have := compiled(t, `
name: other
networks: {theirs: {subnets: ["fd00:7::/64"], nat: true}}
hosts: {pc: {networks: [theirs], ports: ["9005:22"]}}`)
	theirs := openKernel(t, other)
	if _, err := theirs.Up(t.Context(), have, nil); err != nil {
		t.Fatal(err)
	}
	ip(t, "link set lo up")
	ip(t, "link add ether9 type bridge")
	t.Cleanup(func() { ip(t, "link del ether9") })
	ip(t, "addr add 10.0.6.200/25 dev ether9")
	shell(t, `nft -f - <<'.'
table ip somebody { chain pre { type nat hook prerouting priority dstnat
	udp dport 5353 dnat to 10.9.9.9
	udp dport 8080 dnat to 10.9.9.9
	}
}
.`)
	t.Cleanup(func() { shell(t, "nft delete table ip somebody") })
	for _, at := range []string{"[::]:8080", "127.0.0.1:8081"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	for _, at := range []string{"127.0.0.1:5353", "[::1]:8081"} { // UDP, but the latter is none of the lab's
		c, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	lab, want := compiled(t, conflictLab)
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
		"nat dnat -p tcp --dport 8080 --to-destination 10.0.6.2:80: a program listens on [::]:8080 already: it can no longer be reached there",
		"nat dnat -p tcp -6 --dport 8080 --to-destination [fd00:6::2]:80: a program listens on [::]:8080 already: it can no longer be reached there",
		"nat dnat -p tcp -6 --dport 9000:9010 --to-destination [fd00:6::2]:9000-9010: lab other forwards it already: tcp dport 9005 dnat ip6 to [fd00:7::2]:22",
		"nat dnat -p tcp -d 127.0.0.1 --dport 8081 --to-destination 10.0.6.2:81: a program listens on 127.0.0.1:8081 already: it can no longer be reached there",
		"nat dnat -p udp --dport 5353 --to-destination 10.0.6.2:53: somebody's nftables rule forwards it already: udp dport 5353 dnat ip to 10.9.9.9:5353",
		"addr 10.0.6.1/24 dev lan: link ether9 has 10.0.6.200/25 already: what goes there may go the wrong way",
	}
	if diff := cmp.Diff(wantTexts, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Error("it can be made all the same: ", err)
	}
	if plan, err := k.Plan(want); err != nil || len(plan) > 0 {
		t.Error(plan, err)
	}
}
