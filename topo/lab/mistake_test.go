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
