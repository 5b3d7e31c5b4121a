package lab

import (
	"fmt"
	"math/bits"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// bridgeTick is the unit of the times of bridges.
const bridgeTick = 10 * time.Millisecond

// options returns the options of the bridge in the file.
func (n *fileNetwork) options(d *syntax.Decoder, at syntax.Pos) topo.BridgeOptions {
	times := map[string]*time.Duration{
		"forward_delay": n.ForwardDelay, "hello_time": n.HelloTime, "max_age": n.MaxAge, "ageing_time": n.AgeingTime,
	}
	flags := map[string]*bool{"mcast_snooping": n.McastSnooping, "mcast_querier": n.McastQuerier}
	return topo.NewBridgeOptions(func(row *topo.BridgeOption) (v uint64) {
		v = row.Default
		if t := times[row.Name]; t != nil {
			if *t%(10*bridgeTick) != 0 {
				d.Mistake(at, row.Name, fmt.Sprintf("%s: %v is not a multiple of 100ms", row.Name, *t), "")
			}
			v = uint64(*t / bridgeTick)
		}
		if on := flags[row.Name]; on != nil {
			v = 0
			if *on {
				v = 1
			}
		}
		switch {
		case row.Name == "priority" && n.Priority != nil:
			v = uint64(*n.Priority)
		case row.Name == "group_fwd_mask":
			for _, mask := range n.GroupFwdMask {
				v |= uint64(mask)
			}
		}
		return v
	})
}

// neverForwarded is the mask of the groups that the kernel's bridge never forwards (BR_GROUPFWD_RESTRICTED).
const neverForwarded = 1<<3 - 1

// bridgeOptions reports values that the kernel refuses or changes.
func (k *checker) bridgeOptions(net *Network) {
	for i := range topo.BridgeOptionRows {
		row := &topo.BridgeOptionRows[i]
		v, least := net.Options.Get(row), row.Least
		if row.Name == "forward_delay" && net.STP {
			least = 200
		}
		switch {
		case v < least && !k.incomplete || v > row.Most:
			k.mistakef(net.at, row.Name, fmt.Sprintf("write %s to %s", bridgeValue(row, least), bridgeValue(row, row.Most)),
				"%s of network %s is out of range", row.Name, net.Name)
		case row.Name == "group_fwd_mask" && v&neverForwarded != 0:
			k.mistakef(net.at, row.Name, "connect the hosts with an entry of links",
				"network %s: a bridge never forwards frames to 01:80:c2:00:00:00 … 02 (STP, PAUSE, LACP)", net.Name)
		}
	}
}

// bridgeValue returns a value of an option as in the file.
func bridgeValue(row *topo.BridgeOption, v uint64) string {
	if row.Time {
		return (time.Duration(v) * bridgeTick).String()
	}
	return strconv.FormatUint(v, 10)
}

func (n *Network) formatOptions(m *syntax.Mapping) {
	for i := range topo.BridgeOptionRows {
		row := &topo.BridgeOptionRows[i]
		switch v := n.Options.Get(row); {
		case v == row.Default:
		case row.Name == "group_fwd_mask":
			m.One(row.Name, maskNames(uint16(v)))
		case row.Most == 1:
			m.Add(row.Name, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v == 1)})
		case row.Time:
			m.Text(row.Name, bridgeValue(row, v))
		default:
			m.Add(row.Name, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatUint(v, 10)})
		}
	}
}

// maskBits has the last byte of the group addresses 01:80:c2:00:00:XX of protocols; IEEE 802.1Q, table 8-1.
var maskBits = map[string]int{"stp": 0, "pause": 1, "lacp": 2, "eapol": 3, "lldp": 14}

// Read reads the name of a protocol, or a mask.
func (c *groupMask) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, c, "expected lldp, eapol, or a mask such as 0x4000", parseGroupMask)
}

func parseGroupMask(s string) (groupMask, error) {
	if bit, ok := maskBits[s]; ok {
		return 1 << bit, nil
	}
	n, err := strconv.ParseUint(s, 0, 16)
	return groupMask(n), err
}

// maskNames returns the names of the protocols in a mask, and a mask of the others.
func maskNames(mask uint16) (names []string) {
	rest := mask
	for ; mask != 0; mask &= mask - 1 {
		for name, bit := range maskBits {
			if bit == bits.TrailingZeros16(mask) {
				names, rest = append(names, name), rest&^(1<<bit)
			}
		}
	}
	if rest != 0 {
		names = append(names, fmt.Sprintf("%#x", rest))
	}
	return names
}
