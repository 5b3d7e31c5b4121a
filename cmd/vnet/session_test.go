package main

import "testing"

// TestLightBackground checks that 0 to 6 and 8 are dark backgrounds, and that an unknown background is dark.
func TestLightBackground(t *testing.T) {
	for colors, want := range map[string]bool{
		"": false, "15": false, "15;0": false, "15;6": false, "15;8": false, "15;default;0": false,
		"0;7": true, "0;15": true, "0;default;15": true, "0;default": true, "0;": true,
	} {
		if got := lightBackground(colors); got != want {
			t.Errorf("COLORFGBG=%s: light is %t, want %t", colors, got, want)
		}
	}
}
