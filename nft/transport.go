//go:build linux

package nft

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// firstWait is how long receive waits before it looks for a reply again.
const firstWait = time.Second

// commit sends a transaction. The kernel executes all of it or nothing. If the ruleset does not have the given
// generation any more, done is false and there is no error. Generation 0 matches any.
func (c *Conn) commit(generation uint32, messages []message) (done bool, err error) {
	begin := batchMark(unix.NFNL_MSG_BATCH_BEGIN)
	if generation != 0 {
		begin.Data = append(begin.Data, attr32(unix.NFNL_BATCH_GENID, generation)...)
	}
	batch := []netlink.Message{begin}
	for _, m := range messages {
		batch = append(batch, m.Message)
	}
	// Kernels before 6.10 do not acknowledge the end of a batch.
	batch[len(batch)-1].Header.Flags |= netlink.Acknowledge
	batch = append(batch, batchMark(unix.NFNL_MSG_BATCH_END))
	sent, err := c.send(batch)
	if errors.Is(err, unix.EMSGSIZE) { // exceeding the limit needs CAP_NET_ADMIN in the initial user namespace
		return false, &Error{Op: "send", Object: "transaction", Message: "larger than net.core.wmem_max allows",
			Err: unix.EMSGSIZE}
	}
	if err != nil {
		return false, c.refusal("send", "transaction", err)
	}
	return c.outcome(sent, messages)
}

// batchMark returns the message that begins or ends a transaction of nf_tables.
func batchMark(kind netlink.HeaderType) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request},
		Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, be16(unix.NFNL_SUBSYS_NFTABLES)...),
	}
}

// outcome reads the replies to a transaction: refusals, and the acknowledgement of the last message, which ends them.
// If replies were lost, the error is errLost: the kernel executed the transaction or refused it. It skips replies to
// earlier requests, and duplicates that the kernel sends when it restarts after loading a module.
func (c *Conn) outcome(sent []netlink.Message, messages []message) (done bool, err error) {
	first, last := sent[0].Header.Sequence, sent[len(messages)].Header.Sequence
	var refusals []error
	for {
		replies, err := c.receive(c.waitLimit)
		var oe *netlink.OpError
		switch {
		case errors.As(err, &oe) && oe.Sequence != 0:
			i, ok := requestIndex(oe.Sequence, first, len(messages)+1)
			switch {
			case !ok:
				continue
			case i == 0 && errors.Is(err, unix.ERESTART):
				return false, nil
			case i == 0:
				return false, c.refusal("change", "ruleset", err)
			}
			refusals = append(refusals, messages[i-1].refusal(err))
			if oe.Sequence == last {
				return false, joinRefusals(refusals)
			}
		case err != nil:
			return false, c.refusal("read", "reply", err)
		default:
			for _, m := range replies {
				if m.Header.Sequence == last && m.Header.Type == netlink.Error {
					return len(refusals) == 0, joinRefusals(refusals)
				}
			}
		}
	}
}

// requestIndex returns the index of the request with a sequence number, among n requests sent together. The sequence
// number of an earlier request is less than first. The difference also works after the numbers wrap around.
func requestIndex(sequence, first uint32, n int) (index int, ok bool) {
	distance := sequence - first
	return int(distance), uint64(distance) < uint64(n)
}

// joinRefusals joins the refusals of a change into one error. If the kernel lacks an option, this causes
// the other refusals, and joinRefusals omits them.
func joinRefusals(errs []error) error {
	var missing *Error
	var options []string
	for _, err := range errs {
		if e, ok := err.(*Error); ok && e.Missing != "" {
			if missing == nil {
				missing = e
			}
			if !slices.Contains(options, e.Missing) {
				options = append(options, e.Missing)
			}
		}
	}
	switch {
	case missing != nil:
		all := *missing
		all.Missing = strings.Join(options, ", ")
		return &all
	case len(errs) == 1:
		return errs[0]
	}
	return errors.Join(errs...)
}

// refusal converts the kernel's error for a message to an [Error].
func (m message) refusal(err error) error {
	e := &Error{Op: m.op, Object: m.object, Err: nfnetlink.Errno(err)}
	missing := m.missing
	var oe *netlink.OpError
	if errors.As(err, &oe) {
		e.Message = oe.Message
		for _, p := range m.parts {
			if p.offset <= oe.Offset {
				e.Object, missing = p.object, p.missing
			}
		}
	}
	switch e.Err {
	case unix.ENOENT, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT:
		// The table's sets and chains exist, so ENOENT means that the kernel lacks a module.
		if m.op == "add" {
			e.Missing = missing
		}
	}
	return e
}

// refusal converts the error of a request to an [Error].
func (c *Conn) refusal(op, object string, err error) error {
	e := &Error{Op: op, Object: object, Err: nfnetlink.Errno(err)}
	var oe *netlink.OpError
	if errors.As(err, &oe) {
		e.Message = oe.Message
	}
	switch e.Err {
	case unix.EINVAL, unix.EOPNOTSUPP: // the kernel has no handler for messages of nf_tables
		e.Missing = "CONFIG_NF_TABLES"
	}
	return e
}

// A reply is the kernel's reply to a request: a body or an error.
type reply struct {
	body []byte
	err  error
}

// send sends messages in one system call.
func (c *Conn) send(messages []netlink.Message) ([]netlink.Message, error) {
	_ = c.nl.SetWriteDeadline(time.Now().Add(c.waitLimit)) // fails for a socket of a test
	sent, err := c.nl.SendMessages(messages)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errLost
	}
	return sent, err
}

// receive waits for a reply, or for all parts of a dump. If replies were lost, or if there is none for the given time,
// the error is errLost. The Go runtime does not see that a reply is ready if the system call that reads it was
// interrupted (EINTR). So receive looks again after firstWait, and then less and less often.
func (c *Conn) receive(waitLimit time.Duration) ([]netlink.Message, error) {
	var all []netlink.Message
	start := time.Now()
	for wait := min(firstWait, waitLimit); ; wait *= 2 {
		c.nl.SetReadDeadline(time.Now().Add(wait)) // fails for a socket of a test
		var failed error
		var refusal *netlink.OpError
		for m, err := range c.nl.ReceiveIter() {
			if failed = err; err == nil {
				all = append(all, m)
			}
		}
		switch {
		case failed == nil:
			return all, nil
		case errors.As(failed, &refusal) && refusal.Sequence != 0: // with any errno
			return nil, failed
		case errors.Is(failed, unix.ENOBUFS):
			return nil, errLost
		case !errors.Is(failed, os.ErrDeadlineExceeded):
			return nil, failed
		case time.Since(start) >= waitLimit:
			return nil, errLost
		}
	}
}

// query sends requests that have one reply each, up to window at a time. It repeats requests whose replies are lost, so
// they must be idempotent.
func (c *Conn) query(object string, reqs []netlink.Message) ([]reply, error) {
	replies := make([]reply, len(reqs))
	for at := 0; at < len(reqs); at += window {
		end := min(at+window, len(reqs))
		err := c.retry("show", object, func() (bool, error) {
			sent, err := c.send(reqs[at:end])
			if err == nil {
				err = c.readReplies(sent, replies[at:end])
			}
			return err == nil, err
		})
		if err != nil {
			return nil, c.refusal("show", object, err)
		}
	}
	return replies, nil
}

// readReplies reads one reply to each of the messages.
func (c *Conn) readReplies(sent []netlink.Message, to []reply) error {
	first := sent[0].Header.Sequence
	for missing := len(sent); missing > 0; {
		got, err := c.receive(c.waitLimit)
		var oe *netlink.OpError
		if errors.As(err, &oe) && oe.Sequence != 0 {
			if i, ok := requestIndex(oe.Sequence, first, len(to)); ok {
				to[i].err = err
				missing--
			}
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range got {
			if i, ok := requestIndex(m.Header.Sequence, first, len(to)); ok {
				to[i].body = m.Data
				missing--
			}
		}
	}
	return nil
}

// list sends a dump request, and repeats it until the dump is complete.
func (c *Conn) list(object string, req netlink.Message) ([][]byte, error) {
	var bodies [][]byte
	err := c.retry("show", object, func() (complete bool, err error) {
		bodies, complete, err = c.dump(object, req)
		return complete, err
	})
	return bodies, err
}

// dump sends a dump request and returns the bodies of the kernel's messages. If the dumped objects changed during the
// dump, or if messages were lost, complete is false.
func (c *Conn) dump(object string, req netlink.Message) (bodies [][]byte, complete bool, err error) {
	sent, err := c.send([]netlink.Message{req})
	if err != nil {
		return nil, false, c.refusal("show", object, err)
	}
	complete = true
	for wait := c.waitLimit; ; {
		got, err := c.receive(wait)
		var oe *netlink.OpError
		if errors.As(err, &oe) && oe.Sequence != 0 && oe.Sequence != sent[0].Header.Sequence {
			continue // a late reply to an earlier request
		}
		switch {
		case errors.Is(err, errLost) && complete: // read the rest, else the kernel refuses the next dump
			complete, wait = false, min(firstWait, c.waitLimit)
			continue
		case errors.Is(err, unix.EBUSY):
			return nil, false, nil
		case err != nil:
			return nil, false, c.refusal("show", object, err)
		}
		if len(got) > 0 && got[0].Header.Sequence != sent[0].Header.Sequence {
			continue
		}
		for _, m := range got {
			complete = complete && m.Header.Flags&netlink.DumpInterrupted == 0
			bodies = append(bodies, m.Data)
		}
		return bodies, complete, nil
	}
}
