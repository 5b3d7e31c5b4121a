package syntax

import "testing"

// The smallest and the largest values that are valid, and those beside them that are not.
func TestLimits(t *testing.T) {
	check := func(what string, err error, valid bool) {
		t.Helper()
		if (err == nil) != valid {
			t.Errorf("%s: %v, want valid: %t", what, err, valid)
		}
	}
	for text, valid := range map[string]bool{"0s": true, "-1ms": false, "1": false} {
		_, err := parseDuration(text)
		check(text, err, valid)
	}
	for text, valid := range map[string]bool{"0%": true, "100%": true, "100.1%": false, "-1%": false, "NaN%": false} {
		_, err := parsePercent(text)
		check(text, err, valid)
	}
	for text, valid := range map[string]bool{"1bit": true, "0bit": false, "-1bit": false, "9e18bit": true,
		"1e19bit": false, "NaNbit": false, "xbit": false} {
		_, err := parseRate(text)
		check(text, err, valid)
	}
	for text, valid := range map[string]bool{"1": true, "0": false, "0-0": true, "5-5": true, "5-4": false, "65536": true,
		"65537": false, "10-65545": true, "10-65546": false, "-5": false, "a": false, "1-b": false} {
		_, err := parseRepeat(text)
		check(text, err, valid)
	}
	for text, valid := range map[string]bool{"0": true, "7": true, "8": false, "x": false} {
		_, err := NewWords(text).NextNumber("weight", 0, 7)
		check(text, err, valid)
	}
}

func TestWithin(t *testing.T) {
	for v, want := range map[int]int{0: 0, 4094: 4094, 4095: 0, -1: 0} {
		d := NewDecoder(NewSource("lab.yaml", nil))
		if got := d.Within(Pos{1, 1}, "vlan", v, 4094); got != want || d.Found() != (v != want) {
			t.Errorf("%d is read as %d, a mistake: %t", v, got, d.Found())
		}
	}
}
