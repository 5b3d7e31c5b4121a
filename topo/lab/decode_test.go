package lab

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMergeKeys compares labs with << and aliases with the same labs in full.
func TestMergeKeys(t *testing.T) {
	const networks = "networks: {n0: {subnets: [10.0.0.0/24]}, n1: {subnets: [10.0.1.0/24]}}\n"
	for _, tt := range []struct{ short, long string }{
		{
			`hosts: {red: &h {networks: [n0], run: ["true"]}, blue: {<<: *h}}`,
			`hosts: {red: {networks: [n0], run: ["true"]}, blue: {networks: [n0], run: ["true"]}}`,
		},
		{ // a key of the entry itself wins, before or after <<
			`hosts: {red: &h {networks: [n0], run: ["true"]}, blue: {networks: [n1], <<: *h}, pink: {<<: *h, networks: [n1]}}`,
			`hosts: {red: {networks: [n0], run: ["true"]}, blue: {networks: [n1], run: ["true"]}, ` +
				`pink: {networks: [n1], run: ["true"]}}`,
		},
		{ // the first of several mappings wins
			`hosts: {red: &a {networks: [n0]}, blue: &b {networks: [n1], run: ["true"]}, pink: {<<: [*a, *b]}}`,
			`hosts: {red: {networks: [n0]}, blue: {networks: [n1], run: ["true"]}, pink: {networks: [n0], run: ["true"]}}`,
		},
		{ // a merged mapping can itself merge
			`hosts: {red: &a {networks: [n0]}, blue: &b {<<: *a, run: ["true"]}, pink: {<<: *b}}`,
			`hosts: {red: {networks: [n0]}, blue: {networks: [n0], run: ["true"]}, pink: {networks: [n0], run: ["true"]}}`,
		},
	} {
		short, long := mustParse(t, "lab.yaml", networks+tt.short), mustParse(t, "lab.yaml", networks+tt.long)
		if diff := cmp.Diff(long, short, equalTopology); diff != "" {
			t.Errorf("%s (-long +short):\n%s", tt.short, diff)
		}
	}
}
