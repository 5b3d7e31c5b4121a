package topo

import (
	"strconv"
	"strings"
)

// BridgeOptions are further options of a bridge in ip-link(8)'s words: "forward_delay 200 mcast_snooping 0". They are
// in the order of [BridgeOptionRows], without those that have the kernel's default.
type BridgeOptions string

// A BridgeOption is an option of a bridge that labs can set. From <linux/if_link.h> and br_private.h.
type BridgeOption struct {
	Name    string // ip-link(8)'s
	Default uint64
	Least   uint64
	Most    uint64
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

// Get returns the value of an option, the default if it is not set.
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
