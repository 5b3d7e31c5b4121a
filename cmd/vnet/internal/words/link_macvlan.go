package words

import (
	"fmt"
	"slices"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
)

// macvlanFlags are the names of the bits of IFLA_MACVLAN_FLAGS.
var macvlanFlags = map[string]uint64{"nopromisc": 1, "nodst": 2}

// macvlanOptions are in the order in which ip(8) matches abbreviations.
var macvlanOptions = []string{"mode", "flag", "macaddr", "nopromisc", "nodst", "bcqueuelen"}

// macvlanOption parses one option of a macvlan or macvtap; false if it has no option of that name.
func (r *linkReader) macvlanOption(kind, word string, o rtnl.Options) bool {
	option := firstShort(word, macvlanOptions)
	switch option {
	case "mode":
		o["mode"] = r.mode(kind, naming.MacvlanModes)
	case "flag":
		flag := r.Value(word)
		bit, ok := macvlanFlags[flag]
		if !ok && flag != "null" && r.Err == nil {
			r.Err = &Error{Text: fmt.Sprintf(`"flag" must be "nopromisc", "nodst" or "null", not %q`, flag), Status: 1}
		}
		addFlags(o, bit)
	case "macaddr":
		return r.macvlanSources(o)
	case "nopromisc", "nodst":
		addFlags(o, macvlanFlags[option])
	case "bcqueuelen":
		value := r.Value(word)
		n, ok := Number(value, 1<<32-1)
		if !ok && r.Err == nil {
			r.Err = &Error{Text: fmt.Sprintf("%q: %q is not a number", word, value), Status: 1}
		}
		o["bcqueuelen"] = n
	default:
		return false
	}
	return true
}

// macvlanSourceVerbs are the MACVLAN_MACADDR_ constants of <linux/if_link.h>, in their order.
var macvlanSourceVerbs = []string{"add", "del", "flush", "set"}

// macvlanSources parses a change of the list of sources of mode source; false if its verb is unknown.
func (r *linkReader) macvlanSources(o rtnl.Options) bool {
	verb := r.Value("macaddr")
	at := slices.Index(macvlanSourceVerbs, verb)
	if at < 0 {
		return false
	}
	o["macaddr_mode"] = uint64(at)
	switch verb {
	case "add", "del":
		o["macaddr"] = r.mac(verb)
	case "set":
		list := []rtnl.LLAddr{}
		for a, err := parseLLAddr(r.Peek()); err == nil && len(a) == macLength; a, err = parseLLAddr(r.Peek()) {
			r.Next()
			list = append(list, a)
		}
		o["macaddr_data"] = list
	}
	return true
}

// macLength is the length of a MAC address, in bytes.
const macLength = 6

// mac takes a MAC address.
func (r *linkReader) mac(keyword string) rtnl.LLAddr {
	a := r.lladdr(keyword)
	if len(a) != macLength && r.Err == nil {
		r.Err = &Error{Text: fmt.Sprintf("%q: %v is not a MAC address", keyword, a), Status: 1}
	}
	return a
}

// checkMacvlan refuses nopromisc in modes other than passthru, where the kernel ignores it.
func (r *linkReader) checkMacvlan(kind string, o rtnl.Options) {
	flags, _ := o["flags"].(uint64)
	passthru, _ := naming.MacvlanModes.Number("passthru")
	if flags&macvlanFlags["nopromisc"] != 0 && o["mode"] != passthru && r.Err == nil {
		r.Err = &Error{Text: kind + `: "nopromisc" is only for "mode passthru"`, Status: 1}
	}
}

// ipvlanOption parses one option of an ipvlan or ipvtap; false if it has no option of that name. There can be one
// flag.
func (r *linkReader) ipvlanOption(kind, word string, o rtnl.Options) bool {
	flag := firstShort(word, []string{"private", "vepa", "bridge"})
	_, given := o["flags"]
	switch {
	case Short(word, "mode"):
		o["mode"] = r.mode(kind, naming.IpvlanModes)
	case flag != "" && !given:
		o["flags"], _ = naming.IpvlanFlags.Number(flag)
	default:
		return false
	}
	return true
}

// mode takes the name of a mode.
func (r *linkReader) mode(kind string, modes naming.Modes) uint64 {
	value := r.Value("mode")
	mode, ok := modes.Number(value)
	if !ok && r.Err == nil {
		r.Err = &Error{Text: fmt.Sprintf("%q is not a mode of %s", value, kind), Status: 1}
	}
	return mode
}

func addFlags(o rtnl.Options, flags uint64) {
	old, _ := o["flags"].(uint64)
	o["flags"] = old | flags
}

// firstShort returns the first name that word abbreviates; "" is none.
func firstShort(word string, names []string) string {
	for _, name := range names {
		if Short(word, name) {
			return name
		}
	}
	return ""
}
