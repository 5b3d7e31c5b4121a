//go:build linux

package ruleset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The options of getsockopt(2) that read tables of iptables-legacy; see <linux/netfilter_ipv4/ip_tables.h>. IPv6 has
// the same numbers.
const (
	iptGetInfo    = 64
	iptGetEntries = 65
	sizeofGetInfo = 84 // struct ipt_getinfo
	tableNameSize = 32 // XT_TABLE_MAXNAMELEN
)

// A legacyTable is a table of iptables-legacy.
type legacyTable struct {
	family  string // ip or ip6
	name    string
	info    []byte // struct ipt_getinfo
	entries []byte // struct ipt_entry, or struct ip6t_entry
}

// legacyTables returns the tables of iptables-legacy in the calling thread's namespace. The kernel creates a table when
// it is read for the first time, so legacyTables only reads those that exist.
func legacyTables() (all []legacyTable, err error) {
	for _, family := range []string{"ip", "ip6"} {
		names, readErr := os.ReadFile("/proc/thread-self/net/" + family + "_tables_names")
		if readErr != nil {
			continue // the kernel has no such tables
		}
		for _, name := range strings.Fields(string(names)) {
			t := legacyTable{family: family, name: name}
			err = errors.Join(err, t.read())
			all = append(all, t)
		}
	}
	return all, err
}

// read reads the table. A table that was deleted in the meantime has no entries; this is not an error.
func (t *legacyTable) read() error {
	domain, level := unix.AF_INET, unix.SOL_IP
	if t.family == "ip6" {
		domain, level = unix.AF_INET6, unix.SOL_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	for err = unix.EAGAIN; err == unix.EAGAIN; { // EAGAIN: the size changed after iptGetInfo
		t.info = append([]byte(t.name), make([]byte, sizeofGetInfo-len(t.name))...)
		if err = getsockopt(fd, level, iptGetInfo, t.info); err != nil {
			break
		}
		size := binary.NativeEndian.Uint32(t.info[80:])
		header := aligned(tableNameSize + 4)
		get := make([]byte, header+int(size))
		copy(get, t.name)
		binary.NativeEndian.PutUint32(get[tableNameSize:], size)
		err = getsockopt(fd, level, iptGetEntries, get)
		t.entries = get[header:]
	}
	if err == unix.ENOENT {
		t.entries = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("show table %s of %stables-legacy: %w", t.name, t.family, err)
	}
	return nil
}

func getsockopt(fd, level, option int, b []byte) error {
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// aligned returns the offset of a 64-bit number that follows n bytes in a struct.
func aligned(n int) int {
	if runtime.GOARCH == "386" {
		return n
	}
	return (n + 7) &^ 7
}

// A legacyLayout describes struct ipt_entry or struct ip6t_entry. The struct begins with the source, the destination
// and their masks.
type legacyLayout struct {
	address  int  // the size of an address
	links    int  // the offset of the names of the input and output links; their masks follow
	proto    int  // the offset of the protocol
	flags    int  // the offset of the flags; the inverted conditions follow
	gotoFlag byte // the flag of a goto
	target   int  // the offset of target_offset; next_offset follows
	header   int  // the size of the struct
}

func (t *legacyTable) layout() legacyLayout {
	if t.family == "ip6" {
		return legacyLayout{16, 64, 128, 131, 4, 140, aligned(148) + 16}
	}
	return legacyLayout{4, 16, 80, 82, 2, 88, aligned(96) + 16}
}

// xtHeader is the size of struct xt_entry_match and of struct xt_entry_target.
const xtHeader = 32

// Inverted conditions; IPT_INV_* of <linux/netfilter_ipv4/ip_tables.h>.
const (
	invertIn    = 1
	invertOut   = 2
	invertSrc   = 8
	invertDst   = 16
	invertProto = 64
)

// builtinChains are the names of the chains at the hooks, by NF_INET_*.
var builtinChains = [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// chains decodes the rules, by chain.
func (t *legacyTable) chains() map[string][]rule {
	starts, rules, chain := t.chainStarts(), map[string][]rule{}, ""
	t.each(func(at int, entry []byte) {
		if name, begins := starts[at]; begins {
			chain = name
		}
		name := "rule " + strconv.Itoa(len(rules[chain])+1)
		rules[chain] = append(rules[chain], rule{chain, name, t.steps(at, entry, starts)})
	})
	return rules
}

// each calls fn for each entry with its offset. It stops at a malformed entry.
func (t *legacyTable) each(fn func(at int, entry []byte)) {
	l := t.layout()
	for at := 0; at+l.header+xtHeader <= len(t.entries); {
		target := int(binary.NativeEndian.Uint16(t.entries[at+l.target:]))
		next := int(binary.NativeEndian.Uint16(t.entries[at+l.target+2:]))
		if target < l.header || target+xtHeader > next || at+next > len(t.entries) {
			return
		}
		fn(at, t.entries[at:at+next])
		at += next
	}
}

// hook returns the offset of the first rule of the chain at a hook; false if the table has no such chain.
func (t *legacyTable) hook(n int) (offset int, ok bool) {
	if len(t.info) < sizeofGetInfo || binary.NativeEndian.Uint32(t.info[tableNameSize:])>>n&1 == 0 {
		return 0, false
	}
	return int(binary.NativeEndian.Uint32(t.info[tableNameSize+4+4*n:])), true
}

// chainStarts returns the names of chains by the offset of their first rule. An entry with the target ERROR contains
// the name of the chain that begins after it.
func (t *legacyTable) chainStarts() map[int]string {
	starts := map[int]string{}
	t.each(func(at int, entry []byte) {
		target := entry[binary.NativeEndian.Uint16(entry[t.layout().target:]):]
		if xtName(target) == "ERROR" {
			starts[at+len(entry)] = unix.ByteSliceToString(target[xtHeader:])
		}
	})
	for hook, name := range builtinChains {
		if at, ok := t.hook(hook); ok {
			starts[at] = name
		}
	}
	return starts
}

// xtName returns the name in a struct xt_entry_match or xt_entry_target.
func xtName(b []byte) string { return unix.ByteSliceToString(b[2 : xtHeader-1]) }

// steps decodes an entry.
func (t *legacyTable) steps(at int, entry []byte, starts map[int]string) (steps []step) {
	l := t.layout()
	inverted := entry[l.flags+1]
	compare := func(field fieldName, bit byte, value, mask []byte) {
		if len(bytes.Trim(mask, "\x00")) == 0 {
			return // no condition
		}
		value = register{value: value}.masked(mask).value // the kernel ignores the + of a wildcard such as eth+
		s := step{kind: stepCompare, op: expr.CmpOpEq, low: value, high: value}
		if inverted&bit != 0 {
			s.op = expr.CmpOpNeq
		}
		steps = append(steps, step{kind: stepLoad, field: field, size: len(value)},
			step{kind: stepMask, low: mask}, s)
	}
	part := func(at, size int) []byte { return entry[at : at+size] }
	compare(sourceField, invertSrc, part(0, l.address), part(2*l.address, l.address))
	compare(targetField, invertDst, part(l.address, l.address), part(3*l.address, l.address))
	compare(inField, invertIn, part(l.links, unix.IFNAMSIZ), part(l.links+2*unix.IFNAMSIZ, unix.IFNAMSIZ))
	compare(outField, invertOut, part(l.links+unix.IFNAMSIZ, unix.IFNAMSIZ), part(l.links+3*unix.IFNAMSIZ, unix.IFNAMSIZ))
	if proto := byte(binary.NativeEndian.Uint16(entry[l.proto:])); proto != 0 {
		compare(protoField, invertProto, []byte{proto}, []byte{0xff})
	}
	target := int(binary.NativeEndian.Uint16(entry[l.target:]))
	for at := l.header; at+xtHeader <= target; {
		size := int(binary.NativeEndian.Uint16(entry[at:]))
		if size < xtHeader || at+size > target {
			return append(steps, step{})
		}
		m := entry[at : at+size]
		steps = append(steps, xtMatch(xtName(m), m[xtHeader-1], m[xtHeader:]))
		at += size
	}
	return append(steps, l.targetStep(entry, entry[target:], at+len(entry), starts))
}

// targetStep decodes the target of an entry. next is the offset of the next entry.
func (l legacyLayout) targetStep(entry, target []byte, next int, starts map[int]string) step {
	if name := xtName(target); name != "" || len(target) < xtHeader+4 {
		return xtTarget(name)
	}
	verdict := int(int32(binary.NativeEndian.Uint32(target[xtHeader:])))
	switch {
	case verdict == next: // a rule without a target
		return step{kind: stepNothing}
	case verdict == verdictReturn:
		return step{kind: stepVerdict, code: verdictReturn}
	case verdict < 0:
		return step{kind: stepVerdict, code: int32(-verdict - 1)}
	case entry[l.flags]&l.gotoFlag != 0:
		return step{kind: stepVerdict, code: verdictGoto, chain: starts[verdict]}
	}
	return step{kind: stepVerdict, code: verdictJump, chain: starts[verdict]}
}

// readLegacy adds the rules of iptables-legacy.
func (d *DestinationNAT) readLegacy() error {
	all, err := legacyTables()
	for _, t := range all {
		for _, hook := range []int{unix.NF_INET_PRE_ROUTING, unix.NF_INET_LOCAL_OUT} {
			if _, ok := t.hook(hook); ok {
				c := Chain{t.family, t.name, builtinChains[hook], true}
				d.base = append(d.base, c)
				d.tables[c.table()] = t.chains()
			}
		}
	}
	return err
}
