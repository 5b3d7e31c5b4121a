package display

import "strconv"

// RateUnits are tc(8)'s units for bits per second, the largest first.
var RateUnits = []struct {
	Suffix string
	Bits   uint64
}{{"tbit", 1e12}, {"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

// Rate writes bits per second in the largest unit without a fraction.
func Rate(bits uint64) string {
	u := 0
	for bits%RateUnits[u].Bits != 0 {
		u++
	}
	return strconv.FormatUint(bits/RateUnits[u].Bits, 10) + RateUnits[u].Suffix
}
