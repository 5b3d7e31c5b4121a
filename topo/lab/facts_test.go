package lab

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
)

// TestFacts compares the facts of each lab with its file in testdata/facts: the target address,
// and the host that answers.
func TestFacts(t *testing.T) {
	eachCase(t, "facts/*.txtar", func(c *goldenCase) {
		lab := mustParse(c.t, "lab.yaml", c.in("lab.yaml"))
		var b strings.Builder
		for _, f := range Facts(lab) {
			fmt.Fprintf(&b, "%s\n", f.Expectation)
			if f.Target.IsValid() {
				fmt.Fprintf(&b, "    %s sends to %s, %s answers at %s", f.From, f.Target, cmp.Or(f.Server, "no host"), f.ServerAddr)
				if f.ServerPort != 0 {
					fmt.Fprintf(&b, " port %d", f.ServerPort)
				}
				b.WriteByte('\n')
			}
		}
		c.out("facts", b.String())
	})
}
