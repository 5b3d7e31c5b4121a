// Package names translates iproute2's names of numbers: routing tables, route protocols, scopes and others. It has
// iproute2's built-in names and reads the files in which administrators add more.
//
//	/usr/lib/iproute2/ ─▶ /usr/share/iproute2/ ─▶ /etc/iproute2/    in each: rt_tables ─▶ rt_tables.d/*.conf
//
// A later file overrides an earlier one. A missing file is ignored.
package names

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// dirs are the directories of iproute2's files. Those of packages come first.
var dirs = []string{"/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"}

// A Table maps numbers to names.
type Table struct {
	// max is the greatest valid number.
	max uint64
	// base is the base of numbers in text; 0 means that a prefix (0x, 0) gives the base, as in C.
	base  int
	names func() map[uint32]string
}

// The tables. Each reads its files at the first use.
var (
	// RouteTables names routing tables: main, local.
	RouteTables = read("rt_tables", 1<<32-1, 0, map[uint32]string{253: "default", 254: "main", 255: "local"})
	// RouteProtocols names the origins of routes: kernel, boot, static.
	RouteProtocols = read("rt_protos", 255, 0, map[uint32]string{
		0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra",
		12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel",
		186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
	})
	// Scopes names the scopes of addresses and routes: global, link, host.
	Scopes = read("rt_scopes", 255, 0, map[uint32]string{0: "global", 200: "site", 253: "link", 254: "host",
		255: "nowhere"})
	// Realms names the realms of routes, which tc-route(8) matches.
	Realms = read("rt_realms", 255, 0, map[uint32]string{0: "unknown"})
	// DSFields names values of the IPv4 TOS field.
	DSFields = read("rt_dsfield", 255, 16, map[uint32]string{0: "0"})
	// Groups names groups of links.
	Groups = read("group", 1<<32-1, 0, map[uint32]string{0: "default"})
	// AddrProtocols names the origins of addresses.
	AddrProtocols = read("rt_addrprotos", 255, 0,
		map[uint32]string{0: "unspec", 1: "kernel_lo", 2: "kernel_ra", 3: "kernel_ll"})
	// IPProtocols names the protocols of IP, from protocols(5).
	IPProtocols = &Table{max: 255, base: 10, names: sync.OnceValue(func() map[uint32]string {
		all := map[uint32]string{}
		readFile(protocols, 1, all)
		return all
	})}
)

// protocols is the file with the names of IP protocols.
const protocols = "/etc/protocols"

func read(file string, max uint64, base int, own map[uint32]string) *Table {
	return &Table{max: max, base: base, names: sync.OnceValue(func() map[uint32]string {
		all := maps.Clone(own)
		for _, dir := range dirs {
			readFile(filepath.Join(dir, file), 0, all)
			more, _ := filepath.Glob(filepath.Join(dir, file+".d", "*.conf"))
			for _, path := range more {
				readFile(path, 0, all)
			}
		}
		return all
	})}
}

// readFile reads lines with a number and a name; # begins a comment. at is the column of the number, 0 or 1; lines that
// begin with a name may have more columns.
func readFile(path string, at int, into map[uint32]string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if fields := strings.Fields(line); len(fields) == 2 || at == 1 && len(fields) > 2 {
			if n, err := strconv.ParseUint(fields[at], 0, 32); err == nil {
				into[uint32(n)] = fields[1-at]
			}
		}
	}
}

// Name returns the name of n, if it has one.
func (t *Table) Name(n uint32) (name string, ok bool) {
	name, ok = t.names()[n]
	return name, ok
}

// Number parses a name, or a number up to the table's maximum. If several numbers have the name, it returns the
// smallest.
func (t *Table) Number(word string) (n uint32, ok bool) {
	best, found := uint32(0), false
	for n, name := range t.names() {
		if name == word && (!found || n < best) {
			best, found = n, true
		}
	}
	if found {
		return best, true
	}
	v, err := strconv.ParseUint(trimBase(word, t.base), t.base, 64)
	return uint32(v), err == nil && v <= t.max && !strings.Contains(word, "_")
}

// trimBase removes 0x, which strconv accepts only with base 0.
func trimBase(word string, base int) string {
	if base == 16 {
		word = strings.TrimPrefix(strings.TrimPrefix(word, "0x"), "0X")
	}
	return word
}

// All returns every name, in no order, for completion and suggestions.
func (t *Table) All() []string {
	all := make([]string, 0, len(t.names()))
	for _, name := range t.names() {
		all = append(all, name)
	}
	return all
}
