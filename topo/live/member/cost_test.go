//go:build linux

package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

// childEnv makes the test binary attach or detach members instead of running tests: "attach ID NAMESPACE …", "detach
// ID …", or "churn NAMESPACE TIME": attach and detach until it kills itself after that time.
const childEnv = "VNET_TEST_MEMBER"

func childMember(id, ns string) Member {
	port := uint16(20000 + hash(id)%10000)
	return Member{ID: id, Link: "eth0", NS: ns, Ports: []Port{{Proto: nft.TCP, HostPort: port, Port: 80}}}
}

func runChild(words []string) int {
	n := Network{Name: "net", Bridge: "br0", DefaultRoute: true, Masquerade: true, Hairpin: true, Subnets: testSubnets()}
	ctx := context.Background()
	var err error
	switch words[0] {
	case "attach":
		_, err = Attach(ctx, n, childMember(words[1], words[2]))
	case "detach":
		err = Detach(ctx, n.Name, ID{words[1], "eth0"})
	case "churn":
		d, _ := time.ParseDuration(words[2])
		time.AfterFunc(d, func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
		for err == nil {
			if _, err = Attach(ctx, n, childMember("churn", words[1])); err == nil || errors.Is(err, fs.ErrExist) {
				err = Detach(ctx, n.Name, ID{"churn", "eth0"})
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child starts the test binary with the words of [childEnv].
func child(t testing.TB, wrap []string, words string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(slices.Clone(wrap), self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+words)
	return cmd
}

// named makes a namespace with a name.
func named(t testing.TB, name string) string {
	t.Helper()
	if err := nsfs.Add(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nsfs.Remove(name) })
	return name
}

// message matches a system call that sends to a netlink socket or reads from one.
var message = regexp.MustCompile(`(?m)^\d+ +(sendto|sendmsg|recvmsg|recvmmsg|recvfrom)\(.*(?:= [1-9]|unfinished)`)

// TestCost: to attach or detach one member more costs the same number of messages, however many there are.
func TestCost(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("no strace on this machine")
	}
	n := testNetwork(t)
	const few, many = 5, 120
	counts := map[string][2]int{}
	attached := 0
	for at, members := range []int{few, many} {
		for ; attached < members; attached++ {
			m := childMember(fmt.Sprint("member", attached), newNS(t))
			m.Ports = []Port{{Proto: nft.TCP, HostPort: uint16(10000 + attached), Port: 80}}
			attach(t, n, m)
		}
		id := fmt.Sprint("after", members) // an address that had been somebody's costs more
		for _, words := range []string{"attach " + id + " " + named(t, id), "detach " + id} {
			trace := filepath.Join(t.TempDir(), "trace")
			cmd := child(t, []string{"strace", "-f", "-o", trace, "-e", "trace=network"}, words)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", words, err, out)
			}
			text, err := os.ReadFile(trace)
			if err != nil {
				t.Fatal(err)
			}
			verb := strings.Fields(words)[0]
			c := counts[verb]
			c[at] = len(message.FindAll(text, -1))
			counts[verb] = c
		}
	}
	for verb, c := range counts {
		t.Logf("%s: %d messages beside %d members, %d beside %d", verb, c[0], few, c[1], many)
		if c[1] > c[0]+3 || c[0] == 0 { // a few addresses may be taken
			t.Errorf("%s: %d messages beside %d members, %d beside %d", verb, c[0], few, c[1], many)
		}
	}
}

// TestKilled: whenever Attach and Detach are killed, Sweep leaves nothing of the member, and disturbs no other.
func TestKilled(t *testing.T) {
	n := testNetwork(t)
	ctx := context.Background()
	neighbour := newNS(t)
	a := attach(t, n, Member{ID: "neighbour", Link: "eth0", NS: neighbour})
	to := a.Addresses[0].Prefix.Addr().String() + ":80"
	serve(t, neighbour, "neighbour", to)
	ns := named(t, "churn")
	for i := range 25 {
		d := time.Duration(rand.IntN(60_000)) * time.Microsecond
		if i == 0 {
			d = 30 * time.Millisecond
		}
		if out, err := child(t, nil, fmt.Sprintf("churn %s %s", ns, d)).CombinedOutput(); err == nil || len(out) > 0 {
			t.Errorf("after %s: %v, %s", d, err, out)
		}
		if i%2 == 1 {
			continue // then the next Attach clears what is left
		}
		if err := Sweep(ctx, n.Name, []ID{{"neighbour", "eth0"}}); err != nil {
			t.Fatalf("after %s: %v", d, err)
		}
		links := sh(t, "", "ip -o link | grep -c ': vn'")
		rules := sh(t, "", "nft list table inet "+tableOf(n.Name)+"; ip -n churn link")
		if links != "1\n" || strings.Contains(rules, fmt.Sprint(childMember("churn", "").Ports[0].HostPort)) ||
			strings.Contains(rules, "eth0@") {
			t.Fatalf("after %s: %s links\n%s", d, links, rules)
		}
	}
	if got := answer(t, "", "tcp", to); got == "" {
		t.Error("the neighbour is not reachable")
	}
}
