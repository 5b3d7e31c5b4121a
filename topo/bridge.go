package topo

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/linux"
)

// A Bridge is a bridge device; see ip-link(8).
type Bridge struct {
	Link
	STP bool // run the spanning tree protocol
	// VLANFiltering separates VLANs. Ports and the bridge itself are then only in
	// the VLANs of their [BridgeVLAN] objects.
	VLANFiltering bool
	Options       BridgeOptions
}

// Type is "bridge".
func (b Bridge) Type() string { return "bridge" }

// String is "link v-net-0 address 02:… type bridge".
func (b Bridge) String() string {
	s := display.In(b.NS) + b.words() + " type bridge"
	if b.STP {
		s += " stp_state 1"
	}
	if b.VLANFiltering {
		s += " vlan_filtering 1"
	}
	if b.Options != "" {
		s += " " + string(b.Options)
	}
	return s
}

// OptionsSince returns ip-link(8)'s names and values of the options in which b differs from was;
// the zero Bridge stands for a new one. Equal options are left out, because a kernel without VLAN
// filtering refuses even to turn it off.
func (b Bridge) OptionsSince(was Bridge) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for i := range BridgeOptionRows {
			row := &BridgeOptionRows[i]
			if v := b.Options.Get(row); v != was.Options.Get(row) && !yield(row.Name, v) {
				return
			}
		}
		if b.STP != was.STP && !yield("stp_state", bit(b.STP)) || b.VLANFiltering == was.VLANFiltering {
			return
		}
		if yield("vlan_filtering", bit(b.VLANFiltering)) {
			yield("vlan_default_pvid", bit(!b.VLANFiltering)) // ports are in no VLAN by default
		}
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (b Bridge) rank() int { return 0 }

func (b Bridge) feature() string {
	if b.VLANFiltering {
		return linux.FeatureVLANFiltering
	}
	return ""
}

func (b Bridge) canBecome(next Object) bool {
	n, ok := next.(Bridge)
	return ok && b.inPlace(n.Link)
}

func (b Bridge) normal() Object {
	b.Link = b.normalLink()
	b.Options = NewBridgeOptions(b.Options.Get)
	return b
}

// commands set MTU and MAC after the bridge is created, as vnet does.
func (b Bridge) commands(w *scriptWriter, s Step) []command {
	was, _ := s.Have.(Bridge)
	options := ""
	for name, value := range b.OptionsSince(was) {
		options += fmt.Sprintf(" %s %d", name, value)
	}
	const words = " type bridge"
	if s.Op() == Create {
		cmds := []command{{b.NS, "ip", "link add name " + creationWords(Link{Name: b.Name, MAC: b.MAC}) + words + options}}
		return append(cmds, setLink(Link{NS: b.NS, Name: b.Name}, b.Link, w.markWords(b.Link))...)
	}
	var cmds []command
	if options != "" {
		cmds = append(cmds, command{b.NS, "ip", "link set dev " + b.Name + words + options})
	}
	return append(cmds, setLink(was.Link, b.Link, "")...)
}

// BridgeOptions are further options of a bridge in ip-link(8)'s words: "forward_delay 200 mcast_snooping 0". They are
// in the order of [BridgeOptionRows], without those that have the kernel's default.
type BridgeOptions string

// A BridgeOption is an option of a bridge that labs can set. From <linux/if_link.h> and br_private.h.
type BridgeOption struct {
	Name    string // ip-link(8)'s
	Default uint64 // the kernel's
	Least   uint64 // the smallest value that the kernel accepts
	Most    uint64 // the largest value that the kernel accepts
	// Time says that the value is a time in hundredths of a second. The kernel keeps tenths exactly, with any HZ.
	Time bool
}

// BridgeOptionRows are the options that labs can set, in ip-link(8)'s order.
var BridgeOptionRows = []BridgeOption{
	{Name: "forward_delay", Default: 1500, Most: 3000, Time: true},
	{Name: "hello_time", Default: 200, Least: 100, Most: 1000, Time: true},
	{Name: "max_age", Default: 2000, Least: 600, Most: 4000, Time: true},
	{Name: "ageing_time", Default: 30000, Most: 1e8, Time: true},
	{Name: "priority", Default: 1 << 15, Most: 1<<16 - 1},
	{Name: "group_fwd_mask", Most: 1<<16 - 1},
	{Name: "mcast_snooping", Default: 1, Most: 1},
	{Name: "mcast_querier", Most: 1},
}

// Get returns the value of an option; its default if it is not set.
func (o BridgeOptions) Get(row *BridgeOption) uint64 {
	words := strings.Fields(string(o))
	for i := 1; i < len(words); i += 2 {
		if n, err := strconv.ParseUint(words[i], 10, 64); err == nil && words[i-1] == row.Name {
			return n
		}
	}
	return row.Default
}

// NewBridgeOptions returns the options whose values are those of get.
func NewBridgeOptions(get func(*BridgeOption) uint64) BridgeOptions {
	words := ""
	for i := range BridgeOptionRows {
		row := &BridgeOptionRows[i]
		if v := get(row); v != row.Default {
			words += " " + row.Name + " " + strconv.FormatUint(v, 10)
		}
	}
	return BridgeOptions(strings.TrimPrefix(words, " "))
}
