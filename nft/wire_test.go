//go:build linux

package nft_test

import (
	"errors"
	"io/fs"
	"iter"
	"syscall"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// A wire is a socket to the kernel that counts what is sent, and can be held up.
type wire struct {
	fd              int
	requests, bytes int
	// before, if set, runs before each sendmsg that begins a transaction.
	before func()
}

func newWire(t testing.TB) (*wire, *nft.Conn) {
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
	w := &wire{fd: fd}
	nl := netlink.NewConn(w, 0)
	t.Cleanup(func() { nl.Close() })
	return w, nft.NewConn(nl)
}

func (w *wire) Close() error                 { return unix.Close(w.fd) }
func (w *wire) Send(m netlink.Message) error { return w.SendMessages([]netlink.Message{m}) }

func (w *wire) SendMessages(messages []netlink.Message) error {
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
	return unix.Sendto(w.fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

func (w *wire) Receive() ([]netlink.Message, error) {
	buf := make([]byte, 1<<20)
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

func (w *wire) ReceiveIter() iter.Seq2[netlink.Message, error] {
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

// cost is what one change sends.
func (w *wire) cost(change func()) (requests, bytes int) {
	w.requests, w.bytes = 0, 0
	change()
	return w.requests, w.bytes
}

// forwards are n forwarded ports.
func forwards(n int) []nft.Rule {
	rules := make([]nft.Rule, n)
	for i := range rules {
		rules[i] = nft.Forward{Proto: nft.TCP, Ports: nft.Port(uint16(20000 + i)), To: addr("192.168.15.2"), ToPort: 80}
	}
	return rules
}

// TestOneMoreCostsTheSame: what goes to the kernel to add a port does not depend
// on how many there are, and it is little.
func TestOneMoreCostsTheSame(t *testing.T) {
	type cost struct{ requests, bytes int }
	costs := map[int]cost{}
	for _, n := range []int{10, 10000} {
		w, c := newWire(t)
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
		t.Errorf("with 10 ports one more costs %+v, with 10000 %+v", costs[10], costs[10000])
	}
	if c := costs[10]; c.requests > 10 || c.bytes > 1000 {
		t.Errorf("one more port costs %+v", c)
	}
}

// TestTenThousand: chunks, buffers, and reading back.
func TestTenThousand(t *testing.T) {
	c := dial(t)
	want := forwards(10000)
	mustApply(t, c, nil, want)
	got, err := c.Read("vnet")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d rules of %d are there", len(got), len(want))
	}
	for i, r := range got {
		if r.Rule != want[i] {
			t.Fatalf("rule %d is %s, want %s", i, r, want[i])
		}
	}
	mustApply(t, c, want, nil)
	mustBeGone(t, c)
}

// TestNothingToDo: what is there already is not sent again.
func TestNothingToDo(t *testing.T) {
	w, c := newWire(t)
	rules := allRules()
	mustApply(t, c, nil, rules)
	w.before = func() { t.Error("a transaction is begun") }
	mustApply(t, c, nil, rules)
	mustApply(t, c, rules, rules)
	w.before = nil
	mustApply(t, c, rules, nil)
	mustBeGone(t, c)
}

// TestRulesetChangesMeanwhile: a change worked out from what is no longer so is
// worked out again.
func TestRulesetChangesMeanwhile(t *testing.T) {
	w, c := newWire(t)
	other := dial(t)
	rule, theirs := forwards(2)[0], forwards(2)[1]
	interruptions := 3
	w.before = func() {
		if interruptions--; interruptions >= 0 {
			mustApply(t, other, nil, forwards(3 + interruptions)[2+interruptions:])
		}
	}
	mustApply(t, c, nil, []nft.Rule{rule, theirs})
	rules, err := c.Read("vnet")
	if err != nil || len(rules) != 5 {
		t.Errorf("%d rules, %v; want ours and the three that came between", len(rules), err)
	}
	if err := c.DeleteTable("vnet"); err != nil {
		t.Fatal(err)
	}
}

// TestDeletesWhatItRead: a rule that came meanwhile is known before its table goes, or
// its connections would not be forgotten.
func TestDeletesWhatItRead(t *testing.T) {
	w, c := newWire(t)
	other := dial(t)
	mustApply(t, c, nil, forwards(1))
	attempts := 0
	w.before = func() {
		if attempts++; attempts == 1 {
			mustApply(t, other, nil, forwards(2)[1:])
		}
	}
	if err := c.DeleteTable("vnet"); err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v; want one more than was in vain", attempts, err)
	}
	mustBeGone(t, other)
}

// TestRulesetNeverRests: there is an end to it.
func TestRulesetNeverRests(t *testing.T) {
	w, c := newWire(t)
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
	mustBeGone(t, c)
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

// mustBeGone: the last rule takes its table along.
func mustBeGone(t testing.TB, c *nft.Conn) {
	t.Helper()
	tables, err := c.Tables()
	if err != nil || len(tables) != 0 {
		t.Errorf("tables %q are left, %v", tables, err)
	}
	if err := c.DeleteTable("vnet"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleting an absent table: %v", err)
	}
}
