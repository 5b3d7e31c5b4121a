package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var errMalformedQdisc = errors.New("malformed queueing discipline message")

// Netem is a netem queueing discipline at the root of a link. It delays and drops the
// packets that the link sends, and limits their rate; see tc-netem(8), struct tcmsg of
// <linux/rtnetlink.h> and the TCA_NETEM_ attributes of <linux/pkt_sched.h>.
type Netem struct {
	// Link is the index of the link.
	Link uint32
	// Delay is the delay of every packet. It varies randomly by plus or minus Jitter.
	Delay, Jitter time.Duration
	// Loss is the share of lost packets in percent, 0–100. The kernel stores it
	// as a fraction of 32 bits, so it is rounded.
	Loss float64
	// Rate is in bits per second, rounded down to whole bytes per second; zero is no
	// limit.
	Rate uint64
	// Limit is the largest number of packets in the queue; zero is the default of
	// netem, 1000.
	Limit uint32
}

// From <linux/pkt_sched.h>.
const (
	netemDefaultLimit = 1000

	sizeofNetem     = 24 // struct tc_netem_qopt
	sizeofNetemRate = 16 // struct tc_netem_rate
	sizeofNetemCorr = 12 // struct tc_netem_corr
	sizeofNetemPair = 8  // struct tc_netem_reorder and tc_netem_corrupt

	netemCorr      = 1  // TCA_NETEM_CORR
	netemReorder   = 3  // TCA_NETEM_REORDER
	netemCorrupt   = 4  // TCA_NETEM_CORRUPT
	netemRate      = 6  // TCA_NETEM_RATE
	netemRate64    = 8  // TCA_NETEM_RATE64
	netemLatency64 = 10 // TCA_NETEM_LATENCY64
	netemJitter64  = 11 // TCA_NETEM_JITTER64
)

// sizeofTcMsg is the size of struct tcmsg of <linux/rtnetlink.h>; tcRoot is TC_H_ROOT.
const (
	sizeofTcMsg = 20
	tcRoot      = math.MaxUint32
)

// ReplaceNetem replaces the root queueing discipline of a link by netem. If the link has a
// netem already, the kernel keeps its ECN marking, its slots and the distribution of its
// delay. If the kernel has no netem, the error is fs.ErrNotExist.
func ReplaceNetem(n Netem) Request {
	body, err := encodeNetem(n)
	return qdiscRequest("replace", n.Link, unix.RTM_NEWQDISC, netlink.Create|netlink.Replace, body, err)
}

// DeleteQdisc restores the default queueing discipline of a link. If the link has the
// default already, the error is fs.ErrNotExist.
func DeleteQdisc(link uint32) Request {
	return qdiscRequest("delete", link, unix.RTM_DELQDISC, 0, tcHeader(link), nil)
}

func qdiscRequest(
	op string, link uint32, typ netlink.HeaderType, flags netlink.HeaderFlags, body []byte, err error,
) Request {
	return Request{
		op: op, object: fmt.Sprintf("qdisc dev %s root", LinkID{Index: link}), err: err,
		msg: netlink.Message{Header: netlink.Header{Type: typ, Flags: flags}, Data: body},
	}
}

func tcHeader(link uint32) []byte {
	b := make([]byte, sizeofTcMsg)
	binary.NativeEndian.PutUint32(b[4:], link)
	binary.NativeEndian.PutUint32(b[12:], tcRoot)
	return b
}

func encodeNetem(n Netem) ([]byte, error) {
	if n.Loss < 0 || n.Loss > 100 || math.IsNaN(n.Loss) {
		return nil, fmt.Errorf("loss %v%% is not between 0%% and 100%%", n.Loss)
	}
	if n.Delay < 0 || n.Jitter < 0 {
		return nil, fmt.Errorf("negative delay %v or jitter %v", n.Delay, n.Jitter)
	}
	ae := netlink.NewAttributeEncoder()
	ae.Uint64(netemLatency64, uint64(n.Delay))
	ae.Uint64(netemJitter64, uint64(n.Jitter))
	// If there is a netem already, the kernel keeps what the request omits. So send zeros.
	ae.Bytes(netemCorr, make([]byte, sizeofNetemCorr))
	ae.Bytes(netemReorder, make([]byte, sizeofNetemPair))
	ae.Bytes(netemCorrupt, make([]byte, sizeofNetemPair))
	bytes := n.Rate / 8
	rate := make([]byte, sizeofNetemRate)
	binary.NativeEndian.PutUint32(rate, uint32(bytes))
	// Not "bytes > math.MaxUint32": on s390x the compiler of Go 1.26 evaluates this
	// to false for every shifted value.
	large := bytes>>32 != 0
	if large {
		binary.NativeEndian.PutUint32(rate, math.MaxUint32)
	}
	ae.Bytes(netemRate, rate)
	if large {
		ae.Uint64(netemRate64, bytes)
	}
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	options := make([]byte, sizeofNetem, sizeofNetem+len(attrs))
	limit := n.Limit
	if limit == 0 {
		limit = netemDefaultLimit
	}
	binary.NativeEndian.PutUint32(options[4:], limit)
	binary.NativeEndian.PutUint32(options[8:], uint32(math.Round(n.Loss/100*math.MaxUint32)))

	ae = netlink.NewAttributeEncoder()
	ae.String(unix.TCA_KIND, "netem")
	ae.Bytes(unix.TCA_OPTIONS, append(options, attrs...))
	attrs, err = ae.Encode()
	return append(tcHeader(n.Link), attrs...), err
}

// Netems returns the netem queueing disciplines at the roots of all links.
func (c *Conn) Netems() ([]Netem, error) {
	var netems []Netem
	err := c.list("qdiscs", unix.RTM_GETQDISC, make([]byte, sizeofTcMsg), func() { netems = nil }, func(b []byte) error {
		one, ok, err := decodeNetem(b)
		if ok {
			netems = append(netems, one)
		}
		return err
	})
	return netems, err
}

// decodeNetem decodes a queueing discipline; ok is false if it is not netem, or not at
// the root of a link.
func decodeNetem(b []byte) (n Netem, ok bool, err error) {
	if len(b) < sizeofTcMsg {
		return n, false, errMalformedQdisc
	}
	n.Link = binary.NativeEndian.Uint32(b[4:])
	ok = binary.NativeEndian.Uint32(b[12:]) == tcRoot
	ad, err := parseAttributes(b[sizeofTcMsg:])
	if err != nil {
		return n, false, errMalformedQdisc
	}
	var options []byte
	for ad.Next() {
		switch ad.Type() {
		case unix.TCA_KIND:
			ok = ok && text(ad.Bytes()) == "netem"
		case unix.TCA_OPTIONS:
			options = ad.Bytes()
		}
	}
	if !ok {
		return n, false, nil
	}
	return n, true, n.decodeOptions(options)
}

func (n *Netem) decodeOptions(b []byte) error {
	if len(b) < sizeofNetem {
		return errMalformedQdisc
	}
	n.Limit = binary.NativeEndian.Uint32(b[4:])
	n.Loss = float64(binary.NativeEndian.Uint32(b[8:])) / math.MaxUint32 * 100
	ad, err := parseAttributes(b[sizeofNetem:])
	if err != nil {
		return errMalformedQdisc
	}
	for ad.Next() {
		switch value := ad.Bytes(); {
		case ad.Type() == netemLatency64 && len(value) == 8:
			n.Delay = time.Duration(binary.NativeEndian.Uint64(value))
		case ad.Type() == netemJitter64 && len(value) == 8:
			n.Jitter = time.Duration(binary.NativeEndian.Uint64(value))
		case ad.Type() == netemRate && len(value) >= 4 && n.Rate == 0:
			n.Rate = uint64(binary.NativeEndian.Uint32(value)) * 8
		case ad.Type() == netemRate64 && len(value) == 8:
			n.Rate = binary.NativeEndian.Uint64(value) * 8
		}
	}
	return nil
}
