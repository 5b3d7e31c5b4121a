//go:build linux

package nft

import (
	"errors"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// commit sends a transaction, which the kernel carries out as a whole or not at
// all. Not done, without an error, means that the ruleset is no longer of that
// generation; generation 0 does not mind.
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
	sent, err := c.nl.SendMessages(batch)
	if errors.Is(err, unix.EMSGSIZE) { // only who is root of the machine may exceed it
		return false, &Error{Op: "send", Object: "transaction", Message: "it is larger than net.core.wmem_max allows", Err: unix.EMSGSIZE}
	}
	if err != nil {
		return false, c.refusal("send", "transaction", err)
	}
	return c.outcome(sent, messages)
}

// batchMark begins or ends a transaction of nf_tables.
func batchMark(kind netlink.HeaderType) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request},
		Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, be16(unix.NFNL_SUBSYS_NFTABLES)...),
	}
}

// outcome reads the answers to a transaction: refusals, and that to the last
// message, which ends them. What belongs to an earlier exchange, and what is
// said twice because the kernel began anew after loading a module, is passed
// over.
func (c *Conn) outcome(sent []netlink.Message, messages []message) (done bool, err error) {
	first, last := sent[0].Header.Sequence, sent[len(sent)-2].Header.Sequence
	var refusals []error
	for {
		answers, err := c.nl.Receive()
		var oe *netlink.OpError
		switch {
		case errors.As(err, &oe) && oe.Sequence != 0:
			i, ours := placeOf(oe.Sequence, first, len(messages)+1)
			switch {
			case !ours:
				continue
			case i == 0 && errors.Is(err, unix.ERESTART):
				return false, nil
			case i == 0:
				return false, c.refusal("change", "ruleset", err)
			}
			refusals = append(refusals, messages[i-1].refusal(err))
			if oe.Sequence == last {
				return false, joined(refusals)
			}
		case err != nil:
			return false, c.refusal("read", "answer", err)
		default:
			for _, m := range answers {
				if m.Header.Sequence == last && m.Header.Type == netlink.Error {
					return len(refusals) == 0, joined(refusals)
				}
			}
		}
	}
}

// placeOf finds the message that is answered among n that were sent together. What
// is left over from an earlier exchange has a number before the first, and numbers
// begin again at zero some day.
func placeOf(answered, first uint32, n int) (place int, ours bool) {
	distance := answered - first
	return int(distance), uint64(distance) < uint64(n)
}

// joined makes one error of the refusals of a change. Where the kernel lacks code,
// the others only follow from that.
func joined(errs []error) error {
	var lack *Error
	var options []string
	for _, err := range errs {
		if e, ok := err.(*Error); ok && e.Missing != "" {
			if lack == nil {
				lack = e
			}
			if !slices.Contains(options, e.Missing) {
				options = append(options, e.Missing)
			}
		}
	}
	switch {
	case lack != nil:
		all := *lack
		all.Missing = strings.Join(options, ", ")
		return &all
	case len(errs) == 1:
		return errs[0]
	}
	return errors.Join(errs...)
}

// refusal makes the kernel's word on a message ours.
func (m message) refusal(err error) error {
	e := &Error{Op: m.op, Object: m.object, Err: errnoOf(err)}
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
		// Our own sets and chains are there; what the kernel does not find is code.
		if m.op == "add" {
			e.Missing = missing
		}
	}
	return e
}

// refusal makes an error of a whole exchange ours.
func (c *Conn) refusal(op, object string, err error) error {
	e := &Error{Op: op, Object: object, Err: errnoOf(err)}
	var oe *netlink.OpError
	if errors.As(err, &oe) {
		e.Message = oe.Message
	}
	switch e.Err {
	case unix.EINVAL, unix.EOPNOTSUPP: // nobody listens to messages of nf_tables
		e.Missing = "CONFIG_NF_TABLES"
	}
	return e
}

// errnoOf takes the library's wrapping off.
func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// An answer is what the kernel says to a question: a body, or an error.
type answer struct {
	body []byte
	err  error
}

// ask sends questions that have one answer each, many at a time.
func (c *Conn) ask(object string, questions []netlink.Message) ([]answer, error) {
	answers := make([]answer, len(questions))
	for at := 0; at < len(questions); at += window {
		end := min(at+window, len(questions))
		sent, err := c.nl.SendMessages(questions[at:end])
		if err != nil {
			return nil, c.refusal("show", object, err)
		}
		if err := c.answers(sent, answers[at:end]); err != nil {
			return nil, c.refusal("show", object, err)
		}
	}
	return answers, nil
}

// answers reads one answer to each of the messages.
func (c *Conn) answers(sent []netlink.Message, to []answer) error {
	first := sent[0].Header.Sequence
	for missing := len(sent); missing > 0; {
		got, err := c.nl.Receive()
		var oe *netlink.OpError
		if errors.As(err, &oe) && oe.Sequence != 0 {
			if i, ours := placeOf(oe.Sequence, first, len(to)); ours {
				to[i].err = err
				missing--
			}
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range got {
			if i, ours := placeOf(m.Header.Sequence, first, len(to)); ours {
				to[i].body = m.Data
				missing--
			}
		}
	}
	return nil
}

// list is a dump that is asked for again until it is whole.
func (c *Conn) list(object string, question netlink.Message) ([][]byte, error) {
	for range tries {
		bodies, whole, err := c.dump(object, question)
		if err != nil || whole {
			return bodies, err
		}
	}
	return nil, &Error{Op: "show", Object: object, Err: errBusy}
}

// dump asks for a list and returns the bodies of its messages. Not whole means
// that it changed while the kernel wrote it.
func (c *Conn) dump(object string, question netlink.Message) (bodies [][]byte, whole bool, err error) {
	sent, err := c.nl.Send(question)
	if err != nil {
		return nil, false, c.refusal("show", object, err)
	}
	whole = true
	for {
		got, err := c.nl.Receive()
		var oe *netlink.OpError
		if errors.As(err, &oe) && oe.Sequence != 0 && oe.Sequence != sent.Header.Sequence {
			continue // left over from an exchange that was broken off
		}
		if err != nil {
			return nil, false, c.refusal("show", object, err)
		}
		if len(got) > 0 && got[0].Header.Sequence != sent.Header.Sequence {
			continue
		}
		for _, m := range got {
			whole = whole && m.Header.Flags&netlink.DumpInterrupted == 0
			bodies = append(bodies, m.Data)
		}
		return bodies, whole, nil
	}
}
