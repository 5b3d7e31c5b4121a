package naming

import (
	"cmp"
	"sort"
	"strings"
)

// Sort sorts names as [Compare] does. slices.SortFunc would add a copy of its code to the binary.
func Sort(names []string) {
	sort.Slice(names, func(i, j int) bool { return Compare(names[i], names[j]) < 0 })
}

// Sorted returns the keys of a map in the order of [Compare].
func Sorted[T any](names map[string]T) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	Sort(list)
	return list
}

// Compare compares two names. It compares digits as numbers: eth2 is before eth10.
func Compare(a, b string) int {
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	for same > 0 && isDigit(a[same-1]) {
		same-- // a number is compared from its first digit
	}
	a, b = a[same:], b[same:]
	if na, nb := digits(a), digits(b); na > 0 && nb > 0 {
		x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(na, nb)); c != 0 {
			return c
		}
	}
	return cmp.Compare(a, b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string) (n int) {
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}
