package words

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNearest checks the limit of 1 + a third of the letters.
func TestNearest(t *testing.T) {
	known := []string{"add", "delete", "flush", "netns", "addrgenmode", "up"}
	for word, want := range map[string]string{
		"ad": "add", "dad": "add", "addd": "add", "delet": "delete", "deltee": "delete", "fulsh": "flush", "flash": "flush",
		"nets": "netns", "adrgenmod": "addrgenmode", "pu": "up", "u": "up", "x": "", "zzz": "", "": "", "flushing": "flush",
		"xyzzy": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

// TestErrorSticks checks that there are no more words after the first error.
func TestErrorSticks(t *testing.T) {
	w := Of([]string{"one", "two"})
	w.Fail("first")
	w.Fail("second")
	if w.More() || w.Next() != "" || w.Peek() != "" || w.Take("one") || w.TakeShort("one") || w.Value("key") != "" ||
		w.Err.Error() != "first" {
		t.Errorf("%v continues: %v", w.args, w.Err)
	}
}

// TestParseAddr checks ip(8)'s syntax of addresses.
func TestParseAddr(t *testing.T) {
	for _, tt := range []struct {
		word   string
		family int
		want   string // "" means not an address
	}{
		{"10.0.0.1", 0, "10.0.0.1"}, {"10.0.0.1", unix.AF_INET, "10.0.0.1"}, {"10.0.0.1", unix.AF_INET6, ""},
		{"10", 0, "10.0.0.0"},
		{"10.1", 0, "10.1.0.0"}, {"0xa.010.0.1", 0, "10.8.0.1"}, {"10.0.0.256", 0, ""}, {"10.0.0.0.1", 0, ""},
		{"10..1", 0, ""},
		{"", 0, ""}, {"x", 0, ""}, {"1_0.0.0.1", 0, ""}, {"0b1.0.0.1", 0, ""}, {"fd00::1", 0, "fd00::1"},
		{"fd00::1", unix.AF_INET, ""},
		{"fe80::1%lo", 0, ""}, {"::ffff:1.2.3.4", 0, "::ffff:1.2.3.4"}, {"fd00::g", 0, ""},
	} {
		a, ok := ParseAddr(tt.word, tt.family)
		if ok != (tt.want != "") || ok && a != netip.MustParseAddr(tt.want) {
			t.Errorf("%q, family %d: %v, %t; want %q", tt.word, tt.family, a, ok, tt.want)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for _, tt := range []struct {
		word   string
		family int
		want   string // "" means not a prefix, "open" an open family
		length bool
	}{
		{"10.0.0.0/8", 0, "10.0.0.0/8", true}, {"10/8", 0, "10.0.0.0/8", true}, {"10.0.0.1", 0, "10.0.0.1/32", false},
		{"fd00::1", 0, "fd00::1/128", false},
		{"10.0.0.0/255.0.0.0", 0, "10.0.0.0/8", true}, {"10.0.0.0/255.0.255.0", 0, "", false}, {"10.0.0.0/33", 0, "", false},
		{"fd00::/129", 0, "", false},
		{"fd00::/64", unix.AF_INET, "", false}, {"10/8", unix.AF_INET6, "", false}, {"10.0.0.0/", 0, "", false},
		{"10.0.0.0/x", 0, "", false},
		{"default", 0, "open", true}, {"all", 0, "open", false}, {"any", unix.AF_INET, "0.0.0.0/0", false},
		{"default", unix.AF_INET6, "::/0", true},
	} {
		p, ok := parsePrefix(tt.word, tt.family)
		switch {
		case ok != (tt.want != ""), ok && p.Length != tt.length,
			tt.want == "open" && (p.IsValid() || p.Family != 0),
			ok && tt.want != "open" && p.Prefix != netip.MustParsePrefix(tt.want):
			t.Errorf("%q, family %d: %+v, %t; want %q", tt.word, tt.family, p, ok, tt.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for word, want := range map[string]uint64{"0": 0, "7": 7, "010": 8, "0x10": 16, "0XFf": 255} {
		if n, ok := Number(word, 255); !ok || n != want {
			t.Errorf("%s: %d, %t; want %d", word, n, ok, want)
		}
	}
	if n, ok := Number("18446744073709551615", 1<<64-1); !ok || n != 1<<64-1 {
		t.Errorf("the greatest number is %d, %t", n, ok)
	}
	for _, word := range []string{"", "256", "-1", "+1", "1_0", "0o7", "0b1", "09", "x", "1.0", " 1"} {
		if n, ok := Number(word, 255); ok {
			t.Errorf("%q is %d", word, n)
		}
	}
}
