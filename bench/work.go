package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A work is a network to be made: switches with hosts on them, each host
// addressed, with the machine as its default route.
type work struct {
	Switches int
	PerEach  int // hosts of a switch
	NAT      bool
}

func worksOf(sizes string) ([]work, error) {
	var works []work
	for _, s := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number of hosts", s)
		}
		switch {
		case n <= 2: // the small case
			works = append(works, work{Switches: 1, PerEach: n, NAT: true})
		case n > 1000: // a switch has at most 1023 ports
			works = append(works, work{Switches: n / 1000, PerEach: 1000})
		default:
			works = append(works, work{Switches: 1, PerEach: n})
		}
	}
	return works, nil
}

// Hosts is how many there are in all.
func (w work) Hosts() int { return w.Switches * w.PerEach }

// Name tells works apart in the results.
func (w work) Name() string {
	name := fmt.Sprintf("star %d", w.PerEach)
	if w.Switches > 1 {
		name = fmt.Sprintf("%d stars %d", w.Switches, w.PerEach)
	}
	if w.NAT {
		name += " nat"
	}
	return name
}

// A host is one of a work's.
type host struct {
	Name    string // of the namespace, and of the cable's near end
	Switch  string
	Addr    netip.Prefix
	Gateway netip.Prefix // the machine's address on the switch
}

// switchName is what the S-th switch is called.
func switchName(s int) string { return fmt.Sprintf("sw%d", s) }

// gateway is the machine's address on the S-th switch.
func gateway(s int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(s), 0, 1}), 16)
}

// All lists the hosts, numbered from 0 over all switches.
func (w work) All() []host {
	hosts := make([]host, 0, w.Hosts())
	for s := range w.Switches {
		for i := range w.PerEach {
			n := i + 2
			hosts = append(hosts, host{
				Name:   fmt.Sprintf("h%d", len(hosts)),
				Switch: switchName(s),
				Addr:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(s), byte(n >> 8), byte(n)}), 16), Gateway: gateway(s),
			})
		}
	}
	return hosts
}

// Lab is the work as a lab file, with as many hosts more as said.
func (w work) Lab(more int) string {
	var b strings.Builder
	b.WriteString("name: bench\nnetworks:\n")
	for s := range w.Switches {
		fmt.Fprintf(&b, "  %s: {subnets: [%s], nat: %v}\n", switchName(s), gateway(s).Masked(), w.NAT)
	}
	b.WriteString("hosts:\n")
	for _, h := range w.All() {
		fmt.Fprintf(&b, "  %s: {networks: {%s: {address: %s}}}\n", h.Name, h.Switch, h.Addr.Addr())
	}
	for i := range more {
		fmt.Fprintf(&b, "  more%d: {networks: {%s: {address: 10.0.200.%d}}}\n", i, switchName(0), i+1)
	}
	return b.String()
}
