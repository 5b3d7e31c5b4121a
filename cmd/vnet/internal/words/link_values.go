package words

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/rtnl"
)

func (r *linkReader) number32(keyword string) uint32 {
	word := r.Value(keyword)
	n, ok := Number(word, 1<<32-1)
	if !ok {
		r.Fail("%q: %q is not a number", keyword, word)
	}
	return uint32(n)
}

// integerOnce takes a number of C's type int that is not negative, for a keyword that can be given once.
func (r *linkReader) integerOnce(keyword string) uint32 {
	r.once(keyword)
	n := r.number32(keyword)
	if n > math.MaxInt32 {
		r.Fail("%q: %d is too large", keyword, n)
	}
	return n
}

func readIndex(r *linkReader, k string) {
	if r.Index = r.integerOnce(k); r.Index == 0 {
		r.Fail(`"index": 0 is not the index of a link`)
	}
}

func readParentNSID(r *linkReader, k string) {
	r.once("link-netns")
	id := int32(r.number(k, math.MaxInt32))
	r.Config.ParentNSID = &id
}

func (r *linkReader) lladdr(keyword string) rtnl.LLAddr {
	word := r.Value(keyword)
	a, err := parseLLAddr(word)
	if err != nil && r.Err == nil {
		r.Err = &Error{Text: fmt.Sprintf("%q: %v", keyword, err), Status: 1}
	}
	return a
}

// parseLLAddr parses a link-layer address as ip(8) does: bytes in hexadecimal, or an IPv4 address, which is the
// link-layer address of IPv4 tunnels.
func parseLLAddr(word string) (rtnl.LLAddr, error) {
	if a, ok := ParseAddr(word, unix.AF_INET); ok && strings.Contains(word, ".") {
		return rtnl.LLAddr(a.AsSlice()), nil
	}
	return rtnl.ParseLLAddr(word)
}

// onOff parses on or off.
func (r *linkReader) onOff(keyword string) *uint8 {
	var value uint8
	switch word := r.Value(keyword); word {
	case "on":
		value = 1
	case "off":
	default:
		if r.Err == nil {
			r.Err = &Error{Text: fmt.Sprintf(`%q must be "on" or "off", not %q`, keyword, word), Status: 1}
		}
	}
	return &value
}

// onOffEINVAL is onOff for the words for which ip(8)'s exit code is EINVAL.
func (r *linkReader) onOffEINVAL(keyword string) *uint8 {
	value := r.onOff(keyword)
	if e, ok := r.Err.(*Error); ok && e.Status == 1 {
		e.Status = int(unix.EINVAL)
	}
	return value
}

func setFlag(flag uint32) func(*linkReader, string) {
	return func(r *linkReader, k string) { r.flag(flag, *r.onOff(k) == 1) }
}

func setFlagNot(flag uint32) func(*linkReader, string) {
	return func(r *linkReader, k string) { r.flag(flag, *r.onOff(k) == 0) }
}

func (r *linkReader) flag(flag uint32, on bool) {
	r.Config.Change |= flag
	r.Config.Flags &^= flag
	if on {
		r.Config.Flags |= flag
	}
}

func readQueueLen(r *linkReader, _ string) {
	n := r.integerOnce("txqueuelen")
	r.Config.TxQueueLen = &n
}

func readMTU(r *linkReader, k string) {
	r.Config.MTU = r.integerOnce(k)
}

func readNS(r *linkReader, k string) {
	r.once(k)
	r.NS = r.Value(k)
}

// readXDP detaches an XDP program. vnet cannot attach one: it has no ELF loader.
func readXDP(flags uint32) func(*linkReader, string) {
	return func(r *linkReader, k string) {
		if word := r.Value(k); word != "off" {
			r.FailHint("vnet cannot load XDP programs; use bpftool net attach xdp ...", `%q must be "off", not %q`, k, word)
		}
		r.Config.XDPOff = &flags
	}
}

func readGroup(r *linkReader, k string) {
	r.once(k)
	word := r.Value(k)
	n, ok := names.Groups.Number(word)
	if !ok {
		r.Fail("group %q is unknown", word)
	}
	r.Config.Group = &n
}

func readLinkMode(r *linkReader, k string) {
	word := strings.ToLower(r.Value(k))
	mode := uint8(slices.Index([]string{"default", "dormant"}, word))
	if mode > 1 {
		r.Fail(`"mode" must be "default" or "dormant", not %q`, word)
	}
	r.Config.LinkMode = &mode
}

// addrGenModes is indexed by rtnl's AddrGen constants.
var addrGenModes = []string{"eui64", "none", "stable_secret", "random"}

func readAddrGenMode(r *linkReader, k string) {
	word := r.Value(k)
	mode := slices.Index(addrGenModes, word)
	if mode < 0 {
		r.Err = Unknown("addrgenmode", word, addrGenModes)
		return
	}
	r.Config.AddrGenMode = new(uint8)
	*r.Config.AddrGenMode = uint8(mode)
}

// operStates are the names of the IF_OPER_ constants of <linux/if.h>, in their order.
var operStates = []string{"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"}

// readOperState parses the state that a program gives a link, such as one that is not yet authenticated.
func readOperState(r *linkReader, k string) {
	word := r.Value(k)
	state := uint8(0)
	for int(state) < len(operStates) && !strings.EqualFold(operStates[state], word) {
		state++
	}
	if int(state) == len(operStates) && r.Err == nil {
		r.Err = Unknown("state", word, operStates)
	}
	r.Config.OperState = &state
}

// readProtoDownReason parses the number of a reason for protodown, and whether it applies.
func readProtoDownReason(r *linkReader, k string) {
	bit := uint32(1) << (r.number(k, 31) & 31)
	value := r.Value(k)
	reason := uint64(bit) << 32
	switch {
	case Short(value, "on"):
		reason |= uint64(bit)
	case !Short(value, "off") && r.Err == nil:
		r.Err = &Error{Text: fmt.Sprintf(`%q must be "on" or "off", not %q`, k, value), Status: 1}
	}
	r.Config.ProtoDownReason = &reason
}
