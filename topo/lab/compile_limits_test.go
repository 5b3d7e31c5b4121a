package lab

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestLimits: labs that exceed limits of the kernel are mistakes.
func TestLimits(t *testing.T) {
	lab, host := "lab-"+strings.Repeat("x", 44), "host-"+strings.Repeat("y", 58)
	var many strings.Builder
	for i := range 800 { // each is a bridge and a port
		fmt.Fprintf(&many, "  n%d: {subnets: [10.%d.%d.0/24], fastpath: true}\n", i, i/200, i%200)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"an adopted namespace": {
			"name: " + lab + "\nhosts:\n  red: {}\n  " + host + ": {namespace: outside}\n",
			"lab.yaml:4:3: netns " + host + " adopted from outside: the record vnet:" + lab + ":netns=" + host +
				"@outside has 131 bytes, but an alternative name of a link has at most 127; use a shorter name",
		},
		"a route of the machine": {
			"name: " + lab + "\nnetworks: {n: {subnets: ['fd00::/64']}}\nhosts:\n  machine: {networks: [n], routes: " +
				"['fd00:1111:2222:3333:4444:5555:6666:0/112 via fd00::2 metric 4294967294 table 4294967294']}\n" +
				"  red: {networks: [n], router: true}\n",
			"lab.yaml:4:3: route fd00:1111:2222:3333:4444:5555:6666:0/112 ",
		},
		"too many fast paths": {
			"networks:\n" + many.String() + "hosts:\n  red: {networks: [n0" + manyOf(", n%d", 1, 800) + "]}\n",
			"lab.yaml:2:32: the machine would have fast paths on more than 1500 links",
		},
	} {
		topology, err := Parse("lab.yaml", []byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = Compile(topology)
		var ms Mistakes
		if !errors.As(err, &ms) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func manyOf(format string, from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
