package topo

import (
	"math"
	"strconv"
	"time"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
)

// A Qdisc is a netem qdisc: it delays, drops or limits the packets that a link sends. If it
// drops packets, TCP may not put several segments into one packet (GSO) that it sends from the
// link: netem would drop them together.
type Qdisc struct {
	NS   string
	Link string
	Impairment
	// GSO means that such packets are possible although the qdisc drops packets. A link in the kernel may have it;
	// Compile never sets it.
	GSO bool
}

// Key implements [Object].
func (q Qdisc) Key() Key { return Key{OfQdisc, q.NS, q.Link} }

// String is "red: qdisc dev eth0 netem delay 50ms loss 2% rate 1000000bit".
func (q Qdisc) String() string {
	return display.In(q.NS) + "qdisc dev " + q.Link + " " + q.words() + q.gsoWords()
}

func (q Qdisc) gsoWords() string {
	if q.GSO {
		return " gso_max_segs " + strconv.Itoa(MaxGSOSegs)
	}
	return ""
}

// MaxGSOSegs is the default gso_max_segs of a link: GSO_MAX_SEGS of the kernel's <linux/netdevice.h>.
const MaxGSOSegs = 65535

// GSOSegs is the gso_max_segs of the link.
func (q Qdisc) GSOSegs() uint32 {
	if q.Loss != 0 && !q.GSO {
		return 1
	}
	return MaxGSOSegs
}

// words returns the properties in tc-netem(8)'s words.
func (q Qdisc) words() string {
	s := "netem"
	if q.Delay != 0 {
		s += " delay " + milliseconds(q.Delay)
		if q.Jitter != 0 {
			s += " " + milliseconds(q.Jitter)
		}
	}
	if q.Loss != 0 {
		s += " loss " + strconv.FormatFloat(q.Loss, 'g', -1, 64) + "%"
	}
	if q.Rate != 0 {
		s += " rate " + strconv.FormatUint(q.Rate, 10) + "bit"
	}
	return s
}

// milliseconds writes a time as tc(8) reads it.
func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + "ms"
}

func (q Qdisc) needs() []Key          { return []Key{{OfLink, q.NS, q.Link}} }
func (q Qdisc) provides() []Key       { return []Key{q.Key()} }
func (q Qdisc) canBecome(Object) bool { return true }

// normal rounds to what the kernel stores: whole bytes per second, and the loss as a
// 32-bit fraction.
func (q Qdisc) normal() Object {
	q.Rate = q.Rate / 8 * 8
	q.Loss = math.Round(q.Loss*1e6) / 1e6
	q.GSO = q.GSO && q.Loss != 0
	return q
}

func (q Qdisc) onLink() Key     { return Key{OfLink, q.NS, q.Link} }
func (q Qdisc) feature() string { return linux.FeatureNetem }

func (q Qdisc) commands(_ *scriptWriter, s Step) []command {
	was, _ := s.Have.(Qdisc)
	want, _ := s.Want.(Qdisc)
	text := "qdisc del dev " + q.Link + " root"
	if s.Want != nil {
		text = "qdisc replace dev " + q.Link + " root " + q.words()
		if was.Rate != 0 && q.Rate == 0 {
			text += " rate 0bit" // netem keeps what is left out
		}
	}
	cmds := []command{{q.NS, "tc", text}}
	if segs := want.GSOSegs(); segs != was.GSOSegs() {
		cmds = append(cmds, command{q.NS, "ip", "link set dev " + q.Link + " gso_max_segs " + strconv.Itoa(int(segs))})
	}
	return cmds
}

// An Impairment adds delay, loss and a rate limit to a link, in both
// directions (a netem qdisc on each end). The zero value adds none.
type Impairment struct {
	Delay  time.Duration // added to every packet
	Jitter time.Duration // each packet's delay is up to this much shorter or longer
	Loss   float64       // percentage of lost packets, 0–100
	Rate   uint64        // bits per second; 0 means unlimited
}
