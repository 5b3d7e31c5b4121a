package naming

import (
	"slices"
	"strings"
	"testing"
)

// TestCompare: runs of digits compare as numbers, other bytes as bytes.
func TestCompare(t *testing.T) {
	sorted := []string{
		"", "1", "01", "2", "10", "eth", "eth0", "eth00", "eth2", "eth2.5", "eth9", "eth10", "eth10a", "eth10b", "eth19",
		"eth100", "etha", "lo",
	}
	for i, a := range sorted {
		for j, b := range sorted {
			want := min(max(i-j, -1), 1)
			if got := Compare(a, b); got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestValidChars(t *testing.T) {
	for _, c := range []byte{'a', 'z', 'A', 'Z', '0', '9'} {
		if !IsAlnum(c) || !ValidChars(string(c), "", "") {
			t.Errorf("%q is a letter or digit", c)
		}
	}
	for _, c := range []byte{'a' - 1, 'z' + 1, 'A' - 1, 'Z' + 1, '0' - 1, '9' + 1, 0xe9} {
		if IsAlnum(c) || ValidChars("a"+string(rune(c)), "", "") {
			t.Errorf("%q is no letter or digit", c)
		}
	}
	for name, want := range map[string]bool{"": false, "a-b": true, "-ab": false, "a_b": false, "_ab": false} {
		if got := ValidChars(name, "_", "-"); got != want {
			t.Errorf("ValidChars(%q) = %t", name, got)
		}
	}
	if !ValidChars("_ab", "_", "_") || ValidChars("_ab", "", "_") || ValidChars("_", "", "_") {
		t.Error("the first character has its own list")
	}
}

func TestIsLab(t *testing.T) {
	for name, want := range map[string]bool{
		"red": true, "a_b.c-d": true, "": false, ".a": false, "a b": false, "a/b": false,
		strings.Repeat("a", MaxLabName): true, strings.Repeat("a", MaxLabName+1): false,
	} {
		if IsLab(name) != want {
			t.Errorf("IsLab(%q) = %t", name, !want)
		}
	}
}

func TestIsLink(t *testing.T) {
	for _, name := range []string{"eth0", "...", "a.b", "vlan@x", "\x01", "é", `"`} {
		if !IsLink(name) {
			t.Errorf("the kernel allows %q", name)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\nb", "a\vb", "a\fb", "a\rb", "a\x00b"} {
		if IsLink(name) {
			t.Errorf("the kernel refuses %q", name)
		}
	}
}

// TestModes: numbers and names are each other's reverse, and unknown ones are reported.
func TestModes(t *testing.T) {
	for _, modes := range []Modes{MacvlanModes, LabMacvlanModes, IpvlanModes, IpvlanFlags} {
		for _, name := range modes.Names() {
			number, ok := modes.Number(name)
			if !ok || modes.Name(number) != name {
				t.Errorf("%s: %d, %t, %q", name, number, ok, modes.Name(number))
			}
		}
		if number, ok := modes.Number("x"); ok || number != 0 || modes.Name(99) != "" {
			t.Errorf("mode x is %d, %t; mode 99 is %q", number, ok, modes.Name(99))
		}
	}
	if want := []string{"bridge", "private", "vepa", "passthru"}; !slices.Equal(LabMacvlanModes.Names(), want) {
		t.Errorf("modes of a lab: %v", LabMacvlanModes.Names())
	}
	if n, _ := MacvlanModes.Number("passthru"); n != 8 {
		t.Errorf("passthru is %d", n)
	}
}

func TestSorted(t *testing.T) {
	want := []string{"eth1", "eth2", "eth10"}
	if got := Sorted(map[string]bool{"eth10": true, "eth2": false, "eth1": true}); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestShorten: names that differ after the limit stay different.
func TestShorten(t *testing.T) {
	if got := Shorten("cni.web", 7); got != "cni.web" {
		t.Errorf("a name of the maximum length becomes %q", got)
	}
	a, b := Shorten(strings.Repeat("x", 50)+"a", 48), Shorten(strings.Repeat("x", 50)+"b", 48)
	if len(a) != 48 || len(b) != 48 || a == b || !strings.HasPrefix(a, "xxx") || !IsLab(a) {
		t.Errorf("%q, %q", a, b)
	}
}
