package topo

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMergeKeys: what YAML's << and aliases bring in, and the same written out.
func TestMergeKeys(t *testing.T) {
	const networks = "networks: {n0: {subnets: [10.0.0.0/24]}, n1: {subnets: [10.0.1.0/24]}}\n"
	for _, tt := range []struct{ short, long string }{
		{
			`hosts: {red: &h {networks: [n0], run: ["true"]}, blue: {<<: *h}}`,
			`hosts: {red: {networks: [n0], run: ["true"]}, blue: {networks: [n0], run: ["true"]}}`,
		},
		{ // what is written stays, wherever it is written
			`hosts: {red: &h {networks: [n0], run: ["true"]}, blue: {networks: [n1], <<: *h}, pink: {<<: *h, networks: [n1]}}`,
			`hosts: {red: {networks: [n0], run: ["true"]}, blue: {networks: [n1], run: ["true"]}, pink: {networks: [n1], run: ["true"]}}`,
		},
		{ // the first of several counts
			`hosts: {red: &a {networks: [n0]}, blue: &b {networks: [n1], run: ["true"]}, pink: {<<: [*a, *b]}}`,
			`hosts: {red: {networks: [n0]}, blue: {networks: [n1], run: ["true"]}, pink: {networks: [n0], run: ["true"]}}`,
		},
		{ // what is merged in may itself merge
			`hosts: {red: &a {networks: [n0]}, blue: &b {<<: *a, run: ["true"]}, pink: {<<: *b}}`,
			`hosts: {red: {networks: [n0]}, blue: {networks: [n0], run: ["true"]}, pink: {networks: [n0], run: ["true"]}}`,
		},
	} {
		short, long := mustParse(t, "lab.yaml", networks+tt.short), mustParse(t, "lab.yaml", networks+tt.long)
		if diff := cmp.Diff(long, short, asMeant); diff != "" {
			t.Errorf("%s (-long +short):\n%s", tt.short, diff)
		}
	}
}
