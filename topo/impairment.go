package topo

import "time"

// An Impairment adds delay, loss and a rate limit to a link, in both
// directions (a netem qdisc on each end). The zero value adds none.
type Impairment struct {
	Delay  time.Duration // added to every packet
	Jitter time.Duration // the delay varies by up to this much in both directions
	Loss   float64       // percentage of lost packets, 0–100
	Rate   uint64        // bits per second; 0 means unlimited
}
