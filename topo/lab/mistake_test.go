package lab

import (
	"errors"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/spell"
)

// TestMistakes parses broken files and compares the mistakes with those in testdata/mistakes.
func TestMistakes(t *testing.T) {
	eachCase(t, "mistakes/*.txtar", func(c *goldenCase) {
		lab, err := Parse("lab.yaml", c.in("lab.yaml"))
		var ms Mistakes
		if !errors.As(err, &ms) {
			c.t.Fatalf("Parse found no mistakes (%v): %+v", err, lab)
		}
		var b strings.Builder
		for _, m := range ms {
			b.WriteString(m.Error() + "\n" + m.Excerpt())
		}
		c.out("mistakes", b.String())
	})
}

// The position of each mistake is inside the file.
func TestMistakePositions(t *testing.T) {
	eachCase(t, "mistakes/*.txtar", func(c *goldenCase) {
		_, err := Parse("lab.yaml", c.in("lab.yaml"))
		lines := strings.Split(string(c.in("lab.yaml")), "\n")
		for _, m := range err.(Mistakes) {
			if m.Line < 1 || m.Line > len(lines) || m.Column < 1 || m.Column > len(lines[m.Line-1])+1 {
				c.t.Errorf("%s: no such position", m)
			}
			if m.Source != lines[m.Line-1] {
				c.t.Errorf("%s: source line is %q", m, m.Source)
			}
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"red", "blue", "v-net-0", "machine"}
	for word, want := range map[string]string{
		"bleu": "blue", "rde": "red", "v-net-1": "v-net-0", "Machine": "machine", "green": "", "": "", "x": "",
		strings.Repeat("blue", 1<<16): "",
	} {
		if got := spell.Nearest(word, known); got != want {
			t.Errorf("nearest(%.20q) is %q, want %q", word, got, want)
		}
	}
}

// TestExcerptIsCut: of a long line, an excerpt shows the part around the mistake.
func TestExcerptIsCut(t *testing.T) {
	long := strings.Repeat("é", 50000)
	for _, tt := range []struct {
		column     int
		start, end string
	}{
		{1, "    1 | éé", "éé…"}, {50001, "    1 | …éé", "éé…"}, {100001, "    1 | …éé", "é"},
	} {
		m := Mistake{Line: 1, Column: tt.column, Source: long}
		line, under, _ := strings.Cut(m.Excerpt(), "\n")
		if !strings.HasPrefix(line, tt.start) || !strings.HasSuffix(line, tt.end) || len(line) > 2*maxExcerpt {
			t.Errorf("column %d: %d bytes: %.20s … %s", tt.column, len(line), line, line[max(0, len(line)-20):])
		}
		if at := len([]rune(strings.TrimRight(under, "\n"))); at > len([]rune(line))+1 {
			t.Errorf("column %d: underlined at %d of %d", tt.column, at, len([]rune(line)))
		}
	}
}
