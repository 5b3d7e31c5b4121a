//go:build linux

package topo

import (
	"slices"
	"strings"
	"testing"
)

// TestSurvey: what a lab made is read back from the machine without its marks, with
// what somebody else made beside it; what labs do not have is named.
func TestSurvey(t *testing.T) {
	for _, name := range []string{"cheatsheet.yaml", "cable.yaml", "ring.yaml", "web.yaml", "double-nat.yaml", "leaf-spine.yaml"} {
		t.Run(name, func(t *testing.T) {
			lab, want := example(t, name)
			k := openKernel(t, lab)
			if _, err := k.Up(t.Context(), want, nil); err != nil {
				t.Fatal(err)
			}
			ip(t, "link add loose type veth peer name end")
			ip(t, "link add mirror type ifb")
			t.Cleanup(func() { ip(t, "link del loose"); ip(t, "link del mirror") })
			got, unknown, err := Survey()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(unknown, []string{"link mirror type ifb"}) {
				t.Errorf("not understood: %q", unknown)
			}
			for _, o := range want.Objects() {
				switch o := o.(type) {
				case File, Process:
				case Sysctl:
					if o.Name == forwarding4 && got[o.Key()] != o {
						t.Errorf("missing %s", o)
					}
				default:
					if got[o.Key()] != o {
						t.Errorf("missing %s\ngot %v", o, got[o.Key()])
					}
				}
				delete(got, o.Key())
			}
			for _, o := range got {
				if _, forwards := o.(Sysctl); !forwards && !strings.Contains(o.String(), "loose") {
					t.Errorf("nobody made %s", o)
				}
			}
		})
	}
}
