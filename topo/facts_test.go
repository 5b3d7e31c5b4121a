package topo

import (
	"fmt"
	"strings"
	"testing"
)

// TestFacts works the examples' expectations out: who is asked at which
// address, and who answers in the end.
func TestFacts(t *testing.T) {
	eachCase(t, "facts/*.txtar", func(c *goldenCase) {
		lab := mustParse(c.t, "lab.yaml", c.in("lab.yaml"))
		var b strings.Builder
		for _, f := range Facts(lab) {
			fmt.Fprintf(&b, "%s\n", f.Expectation)
			if f.Target.IsValid() {
				fmt.Fprintf(&b, "    %s asks %s, %s answers at %s", f.From, f.Target, or(f.Server, "nobody"), f.ServerAddr)
				if f.ServerPort != 0 {
					fmt.Fprintf(&b, " port %d", f.ServerPort)
				}
				b.WriteByte('\n')
			}
		}
		c.out("facts", b.String())
	})
}
