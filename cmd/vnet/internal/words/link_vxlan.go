package words

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

// vxlanReader parses the options of a VXLAN.
type vxlanReader struct {
	*linkReader
	options rtnl.Options
}

// vxlanOptions parses the options of a VXLAN up to the end.
func (r *linkReader) vxlanOptions() rtnl.Options {
	v := &vxlanReader{r, rtnl.Options{}}
	if !r.More() {
		return nil
	}
	for r.More() && !r.Help {
		word := r.Next()
		switch k := find(vxlanKeywords, word); {
		case k != nil:
			k.read(v, k.name)
		case Short(word, "help"):
			r.Help = true
		default:
			r.unknownOption("vxlan", word, keywordNames(vxlanKeywords))
		}
	}
	if r.Err == nil && !r.Help {
		v.finish()
	}
	return v.options
}

// vxlanKeywords are in the order in which ip(8) matches abbreviations.
var vxlanKeywords = slices.Concat([]keyword[vxlanReader]{
	{"id", true, vxlanNumber("id", 1<<24-1)},
	{"vni", true, vxlanNumber("id", 1<<24-1)},
	{"group", true, (*vxlanReader).readRemote},
	{"remote", true, (*vxlanReader).readRemote},
	{"local", true, (*vxlanReader).readLocal},
	{"dev", true, func(v *vxlanReader, word string) { v.once(word); v.link("link", v.Value(word)) }},
	{"ttl", true, (*vxlanReader).readTTL},
	{"hoplimit", true, (*vxlanReader).readTTL},
	{"tos", true, (*vxlanReader).readTOS},
	{"dsfield", true, (*vxlanReader).readTOS},
	{"df", true, (*vxlanReader).readDF},
	{"label", true, vxlanNumber("flowlabel", 1<<20-1)},
	{"flowlabel", true, vxlanNumber("flowlabel", 1<<20-1)},
	{"ageing", true, vxlanLimit("ageing", "none")},
	{"maxaddress", true, vxlanLimit("maxaddr", "unlimited")},
	{"port", true, (*vxlanReader).readSourcePorts},
	{"srcport", true, (*vxlanReader).readSourcePorts},
	{"dstport", true, vxlanNumber("dstport", 1<<16-1)},
},
	vxlanSwitch("learning", true), vxlanSwitch("proxy", true), vxlanSwitch("rsc", true), vxlanSwitch("l2miss", true),
	vxlanSwitch("l3miss", true), vxlanSwitch("udpcsum", true), vxlanSwitch("udp6zerocsumtx", true),
	vxlanSwitch("udp6zerocsumrx", true), vxlanSwitch("remcsumtx", true), vxlanSwitch("remcsumrx", true),
	vxlanSwitch("localbypass", false),
	[]keyword[vxlanReader]{
		{"reserved_bits", false, vxlanNumber("reserved_bits", 1<<64-1)},
		{"external", true, func(v *vxlanReader, _ string) {
			v.set("external", 1)
			v.options["learning"] = uint64(0)
		}},
		{"noexternal", true, func(v *vxlanReader, _ string) { v.set("external", 0) }},
		{"gbp", true, func(v *vxlanReader, _ string) { v.set("gbp", 1) }},
		{"gpe", true, func(v *vxlanReader, _ string) { v.set("gpe", 1) }},
	},
	vxlanSwitch("vnifilter", false), vxlanSwitch("mcroute", false))

// vxlanSwitch makes the two keywords of a switch: NAME and noNAME.
func vxlanSwitch(name string, short bool) []keyword[vxlanReader] {
	return []keyword[vxlanReader]{
		{name, short, func(v *vxlanReader, _ string) { v.set(name, 1) }},
		{"no" + name, short, func(v *vxlanReader, _ string) { v.set(name, 0) }},
	}
}

// vxlanNumber makes the function for a number up to max.
func vxlanNumber(option string, max uint64) func(*vxlanReader, string) {
	return func(v *vxlanReader, word string) { v.set(option, v.number(word, max)) }
}

// vxlanLimit makes the function for a number that can be a word: that word is zero.
func vxlanLimit(option, zero string) func(*vxlanReader, string) {
	return func(v *vxlanReader, word string) {
		if v.Take(zero) {
			v.set(option, 0)
		} else {
			v.set(option, v.number(word, 1<<32-1))
		}
	}
}

// set sets an option. An option can be set once.
func (v *vxlanReader) set(option string, value uint64) {
	v.once("vxlan " + option)
	v.options[option] = value
}

// readRemote parses an address of one peer, or a multicast group.
func (v *vxlanReader) readRemote(word string) {
	old, given := v.options["remote"].(netip.Addr)
	if given && old.IsMulticast() != (word == "group") && v.Err == nil {
		v.Err = &Error{Text: `vxlan: "group" and "remote" cannot both be given`, Status: 1}
	}
	local, _ := v.options["local"].(netip.Addr)
	v.setAddr("remote", word, local)
}

func (v *vxlanReader) readLocal(word string) {
	remote, _ := v.options["remote"].(netip.Addr)
	v.setAddr("local", word, remote)
}

// setAddr takes an address of the family of the other address, if that is valid. The address after "group" must be a
// multicast address, other addresses must not.
func (v *vxlanReader) setAddr(option, word string, other netip.Addr) {
	v.once("vxlan " + option)
	family := unix.AF_UNSPEC
	switch {
	case other.Is4():
		family = unix.AF_INET
	case other.Is6():
		family = unix.AF_INET6
	}
	value := v.Value(word)
	if v.Err != nil {
		return
	}
	a, ok := ParseAddr(value, family)
	switch p, isWord := parsePrefix(value, 0); {
	case value == "default" && family != 0:
		a = p.Of(family).Addr()
	case isWord && p.Family == 0:
		e := Errorf("%q must be an address, not %q", word, value)
		if family != 0 {
			e.Status = 2
		}
		v.Err = e
	case !ok:
		v.failAddr(family, "address", value)
	case word == "group" && !a.IsMulticast():
		v.FailHint("use remote "+value, "%q must be a multicast address, not %q", word, value)
	case word != "group" && a.IsMulticast():
		v.Fail("%q cannot be a multicast address: %q", word, value)
	}
	v.options[option] = a
}

func (v *vxlanReader) readTTL(word string) {
	switch {
	case v.Take("inherit"):
		v.once("vxlan ttl")
		v.options["ttl_inherit"] = uint64(1)
	case v.Take("auto"):
		v.set("ttl", 0)
	default:
		v.set("ttl", v.number(word, 255))
	}
}

func (v *vxlanReader) readTOS(word string) {
	if v.Take("inherit") {
		v.set("tos", 1)
	} else {
		v.set("tos", uint64(uint8(v.Words.named(word, names.DSFields))))
	}
}

func (v *vxlanReader) readDF(word string) {
	value := v.Value(word)
	at := slices.Index([]string{"unset", "set", "inherit"}, value)
	if at < 0 {
		v.Fail(`"df" must be "unset", "set" or "inherit", not %q`, value)
	}
	v.set("df", uint64(max(at, 0)))
}

// readSourcePorts parses two ports. As with ip(8), 0 0 is the default.
func (v *vxlanReader) readSourcePorts(word string) {
	low, high := v.number(word, 1<<16-1), v.number(word, 1<<16-1)
	if v.set("srcport", low<<16|high); low == 0 && high == 0 {
		delete(v.options, "srcport")
	}
}

// finish checks options that depend on each other, and sets the defaults that ip(8) sets.
func (v *vxlanReader) finish() {
	external := v.options["external"] == uint64(1)
	_, id := v.options["id"]
	remote, _ := v.options["remote"].(netip.Addr)
	text := ""
	switch {
	case !external && v.options["vnifilter"] == uint64(1):
		text = `"vnifilter" needs "external"`
	case external && id:
		text = `"external" and "id" cannot both be given`
	case !external && !id && v.add:
		text = `the id is missing: "id NUMBER" or "external" is required`
	case remote.IsMulticast() && v.Links["link"] == "":
		text = `"group" needs "dev", the link on which the group is`
	}
	if text != "" {
		v.Err = &Error{Text: fmt.Sprintf("vxlan: %s", text), Status: 1}
		return
	}
	v.defaults()
}

// defaults sets what ip(8) sends by default: learning for a new VXLAN, which external turns off, and GPE's port.
func (v *vxlanReader) defaults() {
	_, learning := v.options["learning"]
	switch {
	case v.add && !learning:
		v.options["learning"] = uint64(1)
	case !v.add && !v.seen["vxlan learning"]:
		delete(v.options, "learning")
	}
	switch port := v.options["dstport"]; {
	case port == nil && v.seen["vxlan gpe"]:
		v.options["dstport"] = uint64(4790)
	case port == uint64(0):
		delete(v.options, "dstport") // the kernel's default port
	}
}
