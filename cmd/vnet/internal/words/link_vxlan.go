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
		at := slices.IndexFunc(vxlanWords, func(w vxlanWord) bool {
			return word == w.name || w.short && Short(word, w.name)
		})
		switch {
		case at >= 0:
			v.read(vxlanWords[at])
		case Short(word, "help"):
			r.Help = true
		default:
			r.unknownOption("vxlan", word, vxlanNames())
		}
	}
	if r.Err == nil && !r.Help {
		v.finish()
	}
	return v.options
}

// A vxlanWord is an option of a VXLAN: its name, whether it can be abbreviated, and how its value is read.
type vxlanWord struct {
	name  string
	short bool
	kind  vxlanValue
	// option is the name in rtnl.
	option string
	// number is the greatest number of vxlanNumber, and the value of vxlanSet.
	number uint64
}

// A vxlanValue is the form of an option's value.
type vxlanValue uint8

const (
	vxlanNumber vxlanValue = iota // a number
	vxlanLimit                    // a number, or none or unlimited: zero
	vxlanSet                      // no value: the word sets the option
	vxlanRemote
	vxlanLocal
	vxlanDev
	vxlanTTL
	vxlanTOS
	vxlanDF
	vxlanSourcePorts
)

// vxlanWords are in the order in which ip(8) matches abbreviations.
var vxlanWords = []vxlanWord{
	{"id", true, vxlanNumber, "id", 1<<24 - 1},
	{"vni", true, vxlanNumber, "id", 1<<24 - 1},
	{"group", true, vxlanRemote, "", 0},
	{"remote", true, vxlanRemote, "", 0},
	{"local", true, vxlanLocal, "", 0},
	{"dev", true, vxlanDev, "", 0},
	{"ttl", true, vxlanTTL, "", 0},
	{"hoplimit", true, vxlanTTL, "", 0},
	{"tos", true, vxlanTOS, "", 0},
	{"dsfield", true, vxlanTOS, "", 0},
	{"df", true, vxlanDF, "", 0},
	{"label", true, vxlanNumber, "flowlabel", 1<<20 - 1},
	{"flowlabel", true, vxlanNumber, "flowlabel", 1<<20 - 1},
	{"ageing", true, vxlanLimit, "ageing", 1<<32 - 1},
	{"maxaddress", true, vxlanLimit, "maxaddr", 1<<32 - 1},
	{"port", true, vxlanSourcePorts, "", 0},
	{"srcport", true, vxlanSourcePorts, "", 0},
	{"dstport", true, vxlanNumber, "dstport", 1<<16 - 1},
	{"nolearning", true, vxlanSet, "learning", 0}, {"learning", true, vxlanSet, "learning", 1},
	{"noproxy", true, vxlanSet, "proxy", 0}, {"proxy", true, vxlanSet, "proxy", 1},
	{"norsc", true, vxlanSet, "rsc", 0}, {"rsc", true, vxlanSet, "rsc", 1},
	{"nol2miss", true, vxlanSet, "l2miss", 0}, {"l2miss", true, vxlanSet, "l2miss", 1},
	{"nol3miss", true, vxlanSet, "l3miss", 0}, {"l3miss", true, vxlanSet, "l3miss", 1},
	{"udpcsum", true, vxlanSet, "udpcsum", 1}, {"noudpcsum", true, vxlanSet, "udpcsum", 0},
	{"udp6zerocsumtx", true, vxlanSet, "udp6zerocsumtx", 1}, {"noudp6zerocsumtx", true, vxlanSet, "udp6zerocsumtx", 0},
	{"udp6zerocsumrx", true, vxlanSet, "udp6zerocsumrx", 1}, {"noudp6zerocsumrx", true, vxlanSet, "udp6zerocsumrx", 0},
	{"remcsumtx", true, vxlanSet, "remcsumtx", 1}, {"noremcsumtx", true, vxlanSet, "remcsumtx", 0},
	{"remcsumrx", true, vxlanSet, "remcsumrx", 1}, {"noremcsumrx", true, vxlanSet, "remcsumrx", 0},
	{"localbypass", false, vxlanSet, "localbypass", 1}, {"nolocalbypass", false, vxlanSet, "localbypass", 0},
	{"reserved_bits", false, vxlanNumber, "reserved_bits", 1<<64 - 1},
	{"external", true, vxlanSet, "external", 1}, {"noexternal", true, vxlanSet, "external", 0},
	{"gbp", true, vxlanSet, "gbp", 1},
	{"gpe", true, vxlanSet, "gpe", 1},
	{"vnifilter", false, vxlanSet, "vnifilter", 1}, {"novnifilter", false, vxlanSet, "vnifilter", 0},
	{"mcroute", false, vxlanSet, "mcroute", 1}, {"nomcroute", false, vxlanSet, "mcroute", 0},
}

func vxlanNames() (all []string) {
	for _, w := range vxlanWords {
		all = append(all, w.name)
	}
	return all
}

// read reads the value of an option.
func (v *vxlanReader) read(w vxlanWord) {
	switch w.kind {
	case vxlanNumber:
		v.set(w.option, v.number(w.name, w.number))
	case vxlanLimit:
		if v.Take(map[string]string{"ageing": "none", "maxaddr": "unlimited"}[w.option]) {
			v.set(w.option, 0)
		} else {
			v.set(w.option, v.number(w.name, w.number))
		}
	case vxlanSet:
		if v.set(w.option, w.number); w.name == "external" {
			v.options["learning"] = uint64(0)
		}
	case vxlanRemote:
		v.readRemote(w.name)
	case vxlanLocal:
		v.readLocal(w.name)
	case vxlanDev:
		v.once(w.name)
		v.link("link", v.Value(w.name))
	case vxlanTTL:
		v.readTTL(w.name)
	case vxlanTOS:
		v.readTOS(w.name)
	case vxlanDF:
		v.readDF(w.name)
	case vxlanSourcePorts:
		v.readSourcePorts(w.name)
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
// multicast address; other addresses must not be one.
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
