//go:build linux

package nft_test

import (
	"errors"
	"io/fs"
	"iter"
	"sync"
	"syscall"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// A countingSocket is a netlink socket that counts requests and bytes, and can run a function before a transaction.
type countingSocket struct {
	fd              int
	requests, bytes int
	// before, if not nil, runs before each sendmsg that begins a transaction.
	before func()
	// lose, if not nil, is called after each sendmsg that begins a transaction. If it returns true, the replies are
	// lost.
	lose   func() bool
	losing bool
}

func newCountingConn(t testing.TB) (*countingSocket, *nft.Conn) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	w := &countingSocket{fd: fd}
	nl := netlink.NewConn(w, 0)
	t.Cleanup(func() { nl.Close() })
	return w, nft.NewConn(nl)
}

func (w *countingSocket) Close() error                 { return unix.Close(w.fd) }
func (w *countingSocket) Send(m netlink.Message) error { return w.SendMessages([]netlink.Message{m}) }

func (w *countingSocket) SendMessages(messages []netlink.Message) error {
	if w.before != nil && messages[0].Header.Type == unix.NFNL_MSG_BATCH_BEGIN {
		w.before()
	}
	var all []byte
	for _, m := range messages {
		b, err := m.MarshalBinary()
		if err != nil {
			return err
		}
		all = append(all, b...)
	}
	w.requests += len(messages)
	w.bytes += len(all)
	if err := unix.Sendto(w.fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	if w.lose != nil && messages[0].Header.Type == unix.NFNL_MSG_BATCH_BEGIN {
		w.losing = w.lose()
	}
	return nil
}

func (w *countingSocket) Receive() ([]netlink.Message, error) {
	buf := make([]byte, 1<<20)
	if w.losing {
		w.losing = false
		if _, _, err := unix.Recvfrom(w.fd, buf, 0); err != nil {
			return nil, err
		}
		return nil, unix.ENOBUFS
	}
	n, _, err := unix.Recvfrom(w.fd, buf, 0)
	if err != nil {
		return nil, err
	}
	raw, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil {
		return nil, err
	}
	messages := make([]netlink.Message, len(raw))
	for i, m := range raw {
		messages[i] = netlink.Message{Data: m.Data, Header: netlink.Header{
			Length: m.Header.Len, Type: netlink.HeaderType(m.Header.Type), Flags: netlink.HeaderFlags(m.Header.Flags),
			Sequence: m.Header.Seq, PID: m.Header.Pid,
		}}
	}
	return messages, nil
}

func (w *countingSocket) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		messages, err := w.Receive()
		if err != nil {
			yield(netlink.Message{}, err)
		}
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// cost returns the number of requests and bytes that a change sends.
func (w *countingSocket) cost(change func()) (requests, bytes int) {
	w.requests, w.bytes = 0, 0
	change()
	return w.requests, w.bytes
}

// forwards returns n forwarded ports.
func forwards(n int) []nft.Rule {
	rules := make([]nft.Rule, n)
	for i := range rules {
		rules[i] = nft.Forward{Proto: nft.TCP, Ports: nft.Port(uint16(20000 + i)), To: addr("192.168.15.2"), ToPort: 80}
	}
	return rules
}

// TestCostOfOneMorePort checks that the requests for adding a port are small, and do not depend on the number of
// existing ports.
func TestCostOfOneMorePort(t *testing.T) {
	type cost struct{ requests, bytes int }
	costs := map[int]cost{}
	for _, n := range []int{10, 10000} {
		w, c := newCountingConn(t)
		mustApply(t, c, nil, forwards(n))
		one := []nft.Rule{nft.Forward{Proto: nft.UDP, Ports: nft.Port(53), To: addr("192.168.15.3"), ToPort: 5353}}
		requests, bytes := w.cost(func() { mustApply(t, c, nil, one) })
		costs[n] = cost{requests, bytes}
		if err := c.DeleteTable("vnet"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%+v", costs)
	if costs[10] != costs[10000] {
		t.Errorf("one more port costs %+v with 10 ports, %+v with 10000", costs[10], costs[10000])
	}
	if c := costs[10]; c.requests > 10 || c.bytes > 1000 {
		t.Errorf("one more port costs %+v", c)
	}
}

// TestTenThousand checks message splitting, buffer sizes and reading with 10000 rules.
func TestTenThousand(t *testing.T) {
	c := dial(t)
	want := forwards(10000)
	mustApply(t, c, nil, want)
	got, err := c.Read("vnet")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("read %d of %d rules", len(got), len(want))
	}
	for i, r := range got {
		if r.Rule != want[i] {
			t.Fatalf("rule %d is %s, want %s", i, r, want[i])
		}
	}
	mustApply(t, c, want, nil)
	mustHaveNoTables(t, c)
}

// TestNothingToDo checks that adding existing rules sends no transaction.
func TestNothingToDo(t *testing.T) {
	w, c := newCountingConn(t)
	rules := allRules()
	mustApply(t, c, nil, rules)
	w.before = func() { t.Error("unexpected transaction") }
	mustApply(t, c, nil, rules)
	mustApply(t, c, rules, rules)
	w.before = nil
	mustApply(t, c, rules, nil)
	mustHaveNoTables(t, c)
}

// TestDeletesAtOnce checks that none of many deletes at the same time fails. Each deletes rules that only it deletes.
func TestDeletesAtOnce(t *testing.T) {
	const n, each = 16, 20
	rules := forwards(n * each)
	mustApply(t, dial(t), nil, rules)
	var all sync.WaitGroup
	for i := range n {
		c := dial(t)
		all.Go(func() {
			for _, r := range rules[i*each : (i+1)*each] {
				if err := c.Apply("vnet", []nft.Rule{r}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	mustHaveNoTables(t, dial(t))
}

// TestConcurrentChange checks that a change is computed again if the ruleset changed after it was read.
func TestConcurrentChange(t *testing.T) {
	w, c := newCountingConn(t)
	other := dial(t)
	rule, other1 := forwards(2)[0], forwards(2)[1]
	interruptions := 3
	w.before = func() {
		if interruptions--; interruptions >= 0 {
			mustApply(t, other, nil, forwards(3 + interruptions)[2+interruptions:])
		}
	}
	mustApply(t, c, nil, []nft.Rule{rule, other1})
	rules, err := c.Read("vnet")
	if err != nil || len(rules) != 5 {
		t.Errorf("%d rules, %v; want 5: two of this Conn and three concurrent ones", len(rules), err)
	}
	if err := c.DeleteTable("vnet"); err != nil {
		t.Fatal(err)
	}
}

// TestDeleteTableRetries checks that DeleteTable reads the table again if a rule was added after it was read. Otherwise
// the conntrack entries of this rule would remain.
func TestDeleteTableRetries(t *testing.T) {
	w, c := newCountingConn(t)
	other := dial(t)
	mustApply(t, c, nil, forwards(1))
	attempts := 0
	w.before = func() {
		if attempts++; attempts == 1 {
			mustApply(t, other, nil, forwards(2)[1:])
		}
	}
	if err := c.DeleteTable("vnet"); err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v; want 2", attempts, err)
	}
	mustHaveNoTables(t, other)
}

// TestRulesetKeepsChanging checks that the number of attempts is limited.
func TestRulesetKeepsChanging(t *testing.T) {
	w, c := newCountingConn(t)
	other := dial(t)
	on := false
	w.before = func() {
		if on = !on; on {
			mustApplyTo(t, other, "vnet_other", nil, forwards(1))
		} else {
			mustApplyTo(t, other, "vnet_other", forwards(1), nil)
		}
	}
	err := c.Apply("vnet", nil, forwards(1))
	if err == nil || err.Error() != "change table inet vnet: the ruleset kept changing" {
		t.Errorf("err = %v", err)
	}
	if err := other.DeleteTable("vnet_other"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	mustHaveNoTables(t, c)
}

func mustApply(t testing.TB, c *nft.Conn, del, add []nft.Rule) {
	t.Helper()
	mustApplyTo(t, c, "vnet", del, add)
}

func mustApplyTo(t testing.TB, c *nft.Conn, table string, del, add []nft.Rule) {
	t.Helper()
	if err := c.Apply(table, del, add); err != nil {
		t.Fatal(err)
	}
}

// mustHaveNoTables checks that no table of the family inet exists.
func mustHaveNoTables(t testing.TB, c *nft.Conn) {
	t.Helper()
	tables, err := c.Tables()
	if err != nil || len(tables) != 0 {
		t.Errorf("tables %q remain, %v", tables, err)
	}
	if err := c.DeleteTable("vnet"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleting an absent table: %v", err)
	}
}

// TestLostOutcome checks that a change whose reply is lost is looked up: if the kernel executed it, it is done, else it
// is made again.
func TestLostOutcome(t *testing.T) {
	w, c := newCountingConn(t)
	other := dial(t)
	unrelated := nft.Masquerade{Out: "eth9"}
	t.Cleanup(func() { other.DeleteTable("other") })
	var old, new []nft.Rule
	for port := range uint16(20) {
		r := nft.Forward{Proto: nft.TCP, Ports: nft.Port(port + 1), To: addr("192.168.15.2"), ToPort: 80}
		if port < 10 {
			old = append(old, r)
		} else {
			new = append(new, r)
		}
	}
	for refused := range 3 { // the transactions that the kernel refuses because the ruleset changed
		transactions := 0
		w.before = func() {
			if transactions++; transactions <= refused {
				mustApply(t, other, nil, []nft.Rule{unrelated})
				mustApply(t, other, []nft.Rule{unrelated}, nil)
			}
		}
		w.lose = func() bool { return transactions <= 2 }
		for _, change := range []struct{ del, add []nft.Rule }{{nil, old}, {old, new}, {new, nil}} {
			transactions = 0
			mustApply(t, c, change.del, change.add)
			sameRules(t, other, change.add)
			if want := refused + 1; transactions != want {
				t.Errorf("%d refused: %d transactions, want %d", refused, transactions, want)
			}
		}
		mustApply(t, other, nil, old)
		transactions = 0
		if err := c.DeleteTable("vnet"); err != nil {
			t.Errorf("%d refused: %v", refused, err)
		}
		transactions = 0
		if err := c.Guard(nft.Guard{IPv4: true}); err != nil {
			t.Errorf("%d refused: %v", refused, err)
		}
		if err := c.Guard(nft.Guard{}); err != nil {
			t.Errorf("%d refused: %v", refused, err)
		}
		mustHaveNoTables(t, other)
	}
}
