package syntax

import "testing"

// Lines are counted from 1. The last line may have no line break, and a line may end as in Windows.
func TestLine(t *testing.T) {
	s := NewSource("lab.yaml", []byte("first\r\nlast"))
	for n, want := range map[int]string{-1: "", 0: "", 1: "first", 2: "last", 3: ""} {
		if got := s.Line(n); got != want {
			t.Errorf("line %d is %q, want %q", n, got, want)
		}
	}
}

// The text of a mistake is looked for in its entry only, from the entry's position on.
func TestFind(t *testing.T) {
	s := NewSource("lab.yaml", []byte("x: 1\n"+
		"hosts:\n"+ // 2
		"  red: {mtu: 1}\n"+
		"  blue:\n"+ // 4
		"    run: x\n"+
		"\n"+
		"    mtu: 2\n"+
		"  green: {x: 3}\n"+ // 8
		"links:\n"+
		"  - mtu: 7\n"+ // 10
		"    x: 8\n"+
		"  - mtu: 9\n"+
		"last: 5")) // 13
	for _, tt := range []struct {
		at   Pos
		text string
		want Pos
	}{
		{Pos{1, 1}, "x", Pos{1, 1}},
		{Pos{3, 3}, "mtu", Pos{3, 9}},
		{Pos{3, 9}, "red", Pos{3, 9}},   // it is before the position
		{Pos{4, 3}, "mtu", Pos{7, 5}},   // after an empty line
		{Pos{4, 3}, "green", Pos{4, 3}}, // another entry, indented alike
		{Pos{4, 3}, "3", Pos{4, 3}},
		{Pos{2, 1}, "links", Pos{2, 1}},
		{Pos{10, 5}, "8", Pos{11, 8}},
		{Pos{10, 5}, "9", Pos{10, 5}}, // another entry of the list
		{Pos{13, 1}, "5", Pos{13, 7}},
		{Pos{13, 1}, "", Pos{13, 1}},
		{Pos{13, 99}, "5", Pos{13, 99}},
		{Pos{14, 1}, "5", Pos{14, 1}}, {Pos{0, 0}, "x", Pos{0, 0}}, // not in the file
	} {
		if got := s.find(tt.at, tt.text); got != tt.want {
			t.Errorf("%q at %v is found at %v, want %v", tt.text, tt.at, got, tt.want)
		}
	}
	if got := s.first("last"); got != (Pos{13, 1}) {
		t.Errorf("found first at %v", got)
	}
	if got := s.first("mtu"); got != (Pos{3, 9}) {
		t.Errorf("found first at %v", got)
	}
}

// A word is not found as part of a longer word.
func TestFindWord(t *testing.T) {
	for _, c := range "09azAZ_-5mM" {
		for _, line := range []string{string(c) + "eth", "eth" + string(c)} {
			if got := findWord(line, "eth"); got != -1 {
				t.Errorf("found in %q at %d", line, got)
			}
		}
	}
	for _, c := range "/:@[`{. \"" {
		if got := findWord("eth0"+string(c)+"eth"+string(c), "eth"); got != 5 {
			t.Errorf("not found beside %q: %d", c, got)
		}
	}
}
