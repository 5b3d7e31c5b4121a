package spell

import "testing"

// TestDistance checks that the distance is symmetric, and zero only for equal words.
func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"link", "link", 0}, {"link", "lnik", 1}, {"link", "lin", 1}, {"link", "links", 1},
		{"link", "line", 1},
		{"", "abc", 3}, {"via", "vai", 1}, {"red", "blue", 4}, {"ab", "ba", 1}, {"abcd", "badc", 2}, {"kitten", "sitting", 3},
	} {
		if there, back := Distance(tt.a, tt.b), Distance(tt.b, tt.a); there != tt.want || back != tt.want {
			t.Errorf("%s to %s: %d, and back %d; want %d", tt.a, tt.b, there, back, tt.want)
		}
	}
}
