package live

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// virtualLab has a switch of the machine. The tests change the address of red, and add blue.
const virtualLab = `
name: virtual
networks: {sw: {subnets: [10.1.0.0/24, "fd00:1::/64"]}}
hosts:
  red: {networks: {sw: {address: [10.1.0.10, "fd00:1::10"]}}}
  peer: {networks: [sw]}
`

// eachAddrMark runs a test with the protocol of addresses as mark, and with records.
func eachAddrMark(t *testing.T, test func(t *testing.T, open func(lab string) *Kernel)) {
	unix.Mkdir("/run/etc-netns", 0o755)
	for _, records := range []bool{false, true} {
		t.Run(fmt.Sprintf("records=%v", records), func(t *testing.T) {
			if !records && netns.NewTable("", nil).AddrRecords {
				t.Skip("this kernel has no IFA_PROTO")
			}
			test(t, func(lab string) *Kernel {
				k := openKernel(t, lab)
				k.table.AddrRecords = records
				return k
			})
		})
	}
}

// Addresses and neighbour entries that other programs add on a lab's links stay when the lab
// changes, also where the kernel would delete them with the lab's address of the same subnet.
func TestForeignAddressesStay(t *testing.T) {
	labtest.NeedIP(t)
	eachAddrMark(t, func(t *testing.T, open func(string) *Kernel) {
		lab, want := labtest.Compiled(t, virtualLab)
		before := machineState(t)
		k := open(lab)
		up(t, k, want)
		labtest.IP(t, "-n red addr add 10.1.0.100/24 dev eth0")
		labtest.IP(t, "-n red addr add 10.9.0.1/32 dev eth0")
		labtest.IP(t, "-n red addr add fd00:1::100/64 dev eth0 nodad")
		labtest.IP(t, "-n red neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent")
		labtest.IP(t, "-n red neigh add fd00:1::77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent")
		labtest.IP(t, "addr add 10.1.0.200/24 dev sw")
		labtest.IP(t, "addr add fd00:1::200/64 dev sw nodad")
		if drift, err := k.Plan(want); err != nil || len(drift) > 0 {
			t.Errorf("foreign addresses are drift: %v\n%s", err, drift)
		}
		text := strings.NewReplacer("0.10,", "0.30,", "::10\"", "::30\"",
			"hosts:\n", "hosts:\n  blue: {networks: [sw]}\n").Replace(virtualLab)
		text = strings.Replace(text, "subnets:", "gateway: [10.1.0.3, 'fd00:1::3'], subnets:", 1)
		_, changed := labtest.Compiled(t, text)
		up(t, k, changed)
		for ns, addrs := range map[string][2][]string{
			"red": {{"10.1.0.30/24", "10.1.0.100/24", "10.9.0.1/32", "fd00:1::30/64", "fd00:1::100/64"},
				{"10.1.0.10/24", "fd00:1::10/64"}},
			"": {{"10.1.0.3/24", "10.1.0.200/24", "fd00:1::3/64", "fd00:1::200/64"}, {"10.1.0.1/24", "fd00:1::1/64"}},
		} {
			have := addrsOf(t, ns)
			for i, list := range addrs {
				for _, a := range list {
					if strings.Contains(have, " "+a+" ") != (i == 0) {
						t.Errorf("%s of %q: want %v in\n%s", a, ns, i == 0, have)
					}
				}
			}
		}
		for _, addr := range []string{"10.1.0.77", "fd00:1::77"} {
			if neigh := labtest.IP(t, "-n red neigh show "+addr); !strings.Contains(neigh, "PERMANENT") {
				t.Errorf("the entry of %s is now %q", addr, neigh)
			}
		}
		for _, addr := range []string{"10.1.0.100", "10.1.0.200", "fd00:1::100", "fd00:1::200", "10.1.0.30", "fd00:1::30"} {
			checkReaches(t, "peer", addr)
		}
		if value := sysctlIn(t, "red", "net/ipv4/conf/eth0/promote_secondaries"); value != "0" {
			t.Errorf("promote_secondaries is %s afterwards", value)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	})
}

// Another program deletes an address of the lab and adds it again. It has no mark then, but it is
// what the file asks for. It stays when the file no longer asks for it, unless a record marks it.
func TestSameAddressOfAnotherProgram(t *testing.T) {
	labtest.NeedIP(t)
	eachAddrMark(t, func(t *testing.T, open func(string) *Kernel) {
		lab, want := labtest.Compiled(t, virtualLab)
		k := open(lab)
		up(t, k, want)
		for _, addr := range []string{"10.1.0.10/24", "fd00:1::10/64"} {
			labtest.IP(t, "-n red addr del "+addr+" dev eth0")
			labtest.IP(t, "-n red addr add "+addr+" dev eth0")
		}
		labtest.IP(t, "-n red route replace default via 10.1.0.1 proto 118")
		labtest.IP(t, "-n red route replace default via fd00:1::1 proto 118")
		if plan := up(t, k, want); len(plan) > 0 {
			t.Errorf("the second up has steps:\n%s", plan)
		}
		_, changed := labtest.Compiled(t, strings.NewReplacer("0.10,", "0.30,", "::10\"", "::30\"").Replace(virtualLab))
		up(t, k, changed)
		have := addrsOf(t, "red")
		for _, addr := range []string{"10.1.0.10/24", "10.1.0.30/24", "fd00:1::10/64", "fd00:1::30/64"} {
			if kept := !k.table.AddrRecords || strings.Contains(addr, "30/"); strings.Contains(have, " "+addr+" ") != kept {
				t.Errorf("%s: want %v in\n%s", addr, kept, have)
			}
		}
	})
}

// Another program replaces an address of the lab by one with another prefix length.
func TestAddressWithOtherLength(t *testing.T) {
	labtest.NeedIP(t)
	eachAddrMark(t, func(t *testing.T, open func(string) *Kernel) {
		lab, want := labtest.Compiled(t, virtualLab)
		k := open(lab)
		up(t, k, want)
		labtest.IP(t, "-n red addr del 10.1.0.10/24 dev eth0")
		labtest.IP(t, "-n red addr add 10.1.0.10/32 dev eth0")
		plan, err := k.Plan(want)
		if text := plan.String(); err != nil || strings.Contains(text, "- red: addr") ||
			!strings.Contains(text, "+ red: addr 10.1.0.10/24 dev eth0") {
			t.Errorf("drift: %v\n%s", err, text)
		}
		up(t, k, want)
		if have := addrsOf(t, "red"); !strings.Contains(have, " 10.1.0.10/24 ") || !strings.Contains(have, " 10.1.0.10/32 ") {
			t.Errorf("up left\n%s", have)
		}
		checkReaches(t, "peer", "10.1.0.10")
		labtest.IP(t, "-n red addr del fd00:1::10/64 dev eth0")
		labtest.IP(t, "-n red addr add fd00:1::10/128 dev eth0")
		_, err = k.Up(t.Context(), want, nil)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "fd00:1::10/128") {
			t.Errorf("up with the address in the way returns %v", err)
		}
		if have := addrsOf(t, "red"); !strings.Contains(have, " fd00:1::10/128 ") {
			t.Errorf("up changed the foreign address:\n%s", have)
		}
	})
}

// A permanent neighbour entry of another program is not replaced.
func TestForeignNeighbour(t *testing.T) {
	labtest.NeedIP(t)
	text := strings.Replace(virtualLab, "::10\"]}}",
		"::10\"]}}, neighbours: [10.1.0.9 lladdr 02:00:00:00:00:09 dev eth0]", 1)
	lab, want := labtest.Compiled(t, text)
	_, without := labtest.Compiled(t, virtualLab)
	k := openKernel(t, lab)
	up(t, k, without)
	labtest.IP(t, "-n red neigh add 10.1.0.9 lladdr 02:00:00:00:00:99 dev eth0 nud permanent")
	_, err := k.Up(t.Context(), want, nil)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || len(conflict.Conflicts) != 1 || !strings.Contains(err.Error(), "02:00:00:00:00:99") {
		t.Errorf("up returns %v", err)
	}
	labtest.IP(t, "-n red neigh replace 10.1.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent")
	up(t, k, want) // it is what the file asks for
	up(t, k, without)
	if neigh := labtest.IP(t, "-n red neigh show 10.1.0.9"); !strings.Contains(neigh, "PERMANENT") {
		t.Errorf("the foreign entry is now %q", neigh)
	}
	labtest.IP(t, "-n red neigh del 10.1.0.9 dev eth0")
	up(t, k, want)
	up(t, k, without)
	if neigh := labtest.IP(t, "-n red neigh show 10.1.0.9"); strings.Contains(neigh, "PERMANENT") {
		t.Errorf("the lab's own entry is left: %q", neigh)
	}
}

func up(t *testing.T, k *Kernel, want topo.State) topo.Plan {
	t.Helper()
	plan, err := k.Up(t.Context(), want, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// addrsOf returns the addresses in a namespace; "" is the machine's.
func addrsOf(t *testing.T, ns string) string {
	if ns == "" {
		return labtest.IP(t, "-o addr show")
	}
	return labtest.IP(t, "-n "+ns+" -o addr show")
}

// reaches reports whether a host gets an answer from an address.
func reaches(host, addr string) error {
	err := doIn(host, func() error { return dialClosedPort(addr) })
	if err != nil {
		err = fmt.Errorf("%s -> %w", host, err)
	}
	return err
}

// beforeExpiry is shorter than a wrong neighbour entry stays: it is valid for at least 15 seconds.
const beforeExpiry = 5 * time.Second

// dialClosedPort returns nil if an address refuses a connection. It gives up before neighbour entries expire, but tries
// again if the neighbour does not answer: a busy machine loses packets.
func dialClosedPort(addr string) error {
	err := error(unix.EHOSTUNREACH)
	for end := time.Now().Add(2 * beforeExpiry); errors.Is(err, unix.EHOSTUNREACH) && time.Now().Before(end); {
		// After a second without an answer, the kernel asks for a neighbour again, and gives up after three.
		var c net.Conn
		c, err = (&net.Dialer{Timeout: beforeExpiry}).Dial("tcp", net.JoinHostPort(addr, "9")) // one address: on this thread
		if err == nil {
			c.Close()
		}
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	return fmt.Errorf("%s: %w", addr, err)
}

func checkReaches(t *testing.T, host, addr string) {
	t.Helper()
	if err := reaches(host, addr); err != nil {
		t.Error(err)
	}
}

func sysctlIn(t *testing.T, host, key string) (value string) {
	t.Helper()
	err := doIn(host, func() (err error) {
		value, err = nsfs.Sysctl(key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}
