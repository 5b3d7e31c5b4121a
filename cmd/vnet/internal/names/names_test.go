package names

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFiles checks that later files override, directories add, and invalid lines are ignored.
func TestFiles(t *testing.T) {
	packaged, etc := t.TempDir(), t.TempDir()
	saved := dirs
	dirs = []string{packaged, filepath.Join(t.TempDir(), "absent"), etc}
	t.Cleanup(func() { dirs = saved })
	for path, text := range map[string]string{
		filepath.Join(packaged, "rt_x"): "# a comment\n1\tone\n2 two # after\n\nthree\n3 x y\n" +
			"-4 four\n0x10 sixteen\n",
		filepath.Join(etc, "rt_x"):               "1 uno\n300 more\n",
		filepath.Join(etc, "rt_x.d", "10.conf"):  "7 seven\n",
		filepath.Join(etc, "rt_x.d", "ignored"):  "8 eight\n",
		filepath.Join(etc, "rt_x.d", "zz.conf"):  "7 sieben\n",
		filepath.Join(etc, "rt_x.d", "bin.conf"): "\x00\xff\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	table := read("rt_x", 255, 0, map[uint32]string{0: "zero", 2: "zwei"})
	for n, want := range map[uint32]string{0: "zero", 1: "uno", 2: "two", 7: "sieben", 16: "sixteen", 300: "more"} {
		if got, ok := table.Name(n); got != want || !ok {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
		if got, ok := table.Number(want); got != n || !ok {
			t.Errorf("%q is %d, want %d", want, got, n)
		}
	}
	for _, n := range []uint32{3, 4, 8} {
		if name, ok := table.Name(n); ok {
			t.Errorf("%d is %q", n, name)
		}
	}
	if all := table.All(); !slices.Contains(all, "sieben") || slices.Contains(all, "seven") {
		t.Errorf("all: %v", all)
	}
}

// TestProtocols: /etc/protocols has the name before the number, and more names after it.
func TestProtocols(t *testing.T) {
	path := filepath.Join(t.TempDir(), "protocols")
	if err := os.WriteFile(path, []byte("# a comment\nip\t0\tIP\t# after\ntcp 6\nbad\n17 udp\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := map[uint32]string{}
	if readFile(path, 1, got); !maps.Equal(got, map[uint32]string{0: "ip", 6: "tcp"}) {
		t.Errorf("%v", got)
	}
}

// TestSameName checks that a name of several numbers is the least of them, in any order of the table.
func TestSameName(t *testing.T) {
	table := Table{names: func() map[uint32]string { return map[uint32]string{9: "x", 7: "x", 8: "x", 1: "y"} }}
	for range 50 { // the order of a map is random
		if n, ok := table.Number("x"); n != 7 || !ok {
			t.Fatalf("x is %d, %t", n, ok)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		table *Table
		word  string
		want  uint32
		ok    bool
	}{
		{RouteTables, "main", 254, true},
		{RouteTables, "0x1000", 4096, true},
		{RouteTables, "4294967295", 1<<32 - 1, true},
		{RouteTables, "4294967296", 0, false},
		{RouteTables, "1_0", 0, false},
		{RouteTables, "", 0, false},
		{RouteProtocols, "static", 4, true},
		{RouteProtocols, "010", 8, true},
		{RouteProtocols, "256", 0, false},
		{Scopes, "link", 253, true},
		{Scopes, "-1", 0, false},
		{DSFields, "10", 0x10, true}, // always hexadecimal
		{DSFields, "0x10", 0x10, true},
		{DSFields, "100", 0, false},
		{Groups, "default", 0, true},
		{Groups, "4294967295", 1<<32 - 1, true},
		{Groups, "4294967296", 0, false},
		{Realms, "256", 0, false},
		{AddrProtocols, "256", 0, false},
	} {
		if got, ok := tt.table.Number(tt.word); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q is %d, %v; want %d, %v", tt.word, got, ok, tt.want, tt.ok)
		}
	}
	if name, ok := RouteTables.Name(12345); ok {
		t.Errorf("12345 is %q", name)
	}
}
