package words

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
)

// linkVerbs are in the order in which ip(8) matches abbreviations.
var linkVerbs = []string{"add", "set", "change", "replace", "delete", "show", "lst", "list", "xstats", "afstats",
	"property", "help"}

// LinkVerbs returns the commands for links.
func LinkVerbs() []string { return []string{"show", "add", "set", "delete", "property", "help"} }

// LinkVerb takes the command after "link"; the default is show.
func (w *Words) LinkVerb() string {
	if !w.More() {
		return "show"
	}
	word := w.Next()
	at := slices.IndexFunc(linkVerbs, func(v string) bool { return Short(word, v) })
	if at < 0 || linkVerbs[at] == "xstats" || linkVerbs[at] == "afstats" {
		if w.Err == nil {
			w.Err = Unknown("link command", word, append(LinkVerbs(), "del"))
		}
		return ""
	}
	switch linkVerbs[at] {
	case "lst", "list":
		return "show"
	case "change":
		return "set"
	}
	return linkVerbs[at]
}

// A LinkChange is a link to add, set or delete. Other links and namespaces are names here; the caller looks them up.
type LinkChange struct {
	Config rtnl.LinkConfig
	// Dev is the existing link; "" is none. Name is the new name.
	Dev, Name string
	// DevIndex is Dev's index. The caller has to set it if Rename is set.
	DevIndex uint32
	Rename   bool
	// Master and Parent are names of links; "" is none. If VRF is set, Master must be a VRF.
	Master, Parent string
	VRF            bool
	// Links maps options of the kind to the name of the link whose index they get.
	Links map[string]string
	// NS is a namespace: a name, path or process id. ParentNetns is Parent's namespace.
	NS, ParentNetns string
	// Group is the group of links to change, if Dev is "".
	Group string
	// Type is the word after "type"; "" if it is not given.
	Type string
	// Peer is the other end of a veth pair; nil is none.
	Peer *LinkChange
	// Index is the index of a new link; 0 lets the kernel choose.
	Index uint32
	// Help reports whether the words ask for help.
	Help bool
}

// linkReader parses a [LinkChange].
type linkReader struct {
	*Words
	*LinkChange
	add    bool
	isPeer bool
}

// LinkChange parses the words after link add, set, replace or delete.
func (w *Words) LinkChange(verb string) LinkChange {
	var c LinkChange
	r := &linkReader{Words: w, LinkChange: &c, add: verb == "add" || verb == "replace"}
	r.read()
	if w.Err == nil && !c.Help {
		r.finish()
	}
	return c
}

// read parses the words of a link and its type.
func (r *linkReader) read() {
	for r.More() && !r.Help {
		word := r.Next()
		if r.isPeer && word == "name" {
			r.setName(r.Value(word))
			continue
		}
		switch k := find(linkKeywords(), word); {
		case k != nil:
			k.read(r, word)
		case word == "help":
			r.Help = true
		default:
			r.dev(word)
		}
	}
}

// dev takes a word that is not a keyword as the link's name.
func (r *linkReader) dev(word string) {
	if word == "dev" {
		word = r.Value(word)
	}
	if r.Err != nil {
		return
	}
	if r.Dev != "" {
		r.Unexpected(word, keywordNames(linkKeywords()))
		return
	}
	if r.Dev = word; word == "" {
		r.Fail("a link's name cannot be empty")
	}
}

// finish checks the whole command and sets its defaults.
func (r *linkReader) finish() {
	switch {
	case r.add && r.Type == "":
		if r.Err == nil {
			r.Err = &Error{
				Text:   fmt.Sprintf(`link add %s: the type is missing: "type" is required`, r.Name+r.Dev),
				Hint:   "link add NAME type veth | bridge | vlan | vxlan | macvlan | ipvlan | vrf | dummy",
				Status: 1,
			}
		}
	case !r.add && r.Dev == "" && r.Config.Group == nil:
		r.Fail(`the link is missing: "dev" is required`)
	}
	if r.add {
		if r.Name == "" {
			r.Name = r.Dev
		}
		r.Config.Name = r.Name
		r.Config.Index = r.Index
	} else if r.Name != "" && r.Name != r.Dev {
		r.Config.Name, r.Rename = r.Name, true
	}
	if r.Config.Name != "" && r.Err == nil {
		r.checkName(r.Config.Name, false)
	}
}

// checkName refuses an invalid link name. The exit status is ip(8)'s: after the keyword "name" ip(8) refuses the name
// itself, except for a colon. Otherwise the kernel refuses it.
func (r *linkReader) checkName(name string, named bool) {
	err := rtnl.CheckLinkName(name)
	if err == nil || r.Err != nil {
		return
	}
	e := Errorf("%v", err)
	badChars := strings.ContainsAny(name, "/ \t\n\v\f\r\x00")
	if len(name) > naming.MaxLinkName && !badChars {
		e.Hint = "use a short name and add the long one as an alternative name: link property add dev SHORT altname " + name
	}
	if name != "" && (!named || !badChars && strings.Contains(name, ":")) {
		e.Status = 2
	}
	r.Err = e
}

func (r *linkReader) setName(name string) {
	if r.Name != "" && !r.isPeer {
		r.Fail(`"name" is given twice`)
	}
	r.Name = name
	r.checkName(name, true)
}

// linkKeywords returns the keywords in the order in which ip(8) matches abbreviations.
func linkKeywords() []keyword[linkReader] {
	return []keyword[linkReader]{
		{"up", false, func(r *linkReader, _ string) { r.Config.SetUp(true) }},
		{"down", false, func(r *linkReader, _ string) { r.Config.SetUp(false) }},
		{"name", false, func(r *linkReader, k string) { r.setName(r.Value(k)) }},
		{"index", true, func(r *linkReader, k string) { r.Index = r.number32(k) }},
		{"link", true, func(r *linkReader, k string) { r.Parent = r.Value(k) }},
		{"address", true, func(r *linkReader, k string) { r.Config.Address = r.lladdr(k) }},
		{"broadcast", true, func(r *linkReader, k string) { r.Config.Broadcast = r.lladdr(k) }},
		{"brd", false, func(r *linkReader, k string) { r.Config.Broadcast = r.lladdr(k) }},
		{"txqueuelen", true, readQueueLen},
		{"qlen", false, readQueueLen},
		{"txqlen", true, readQueueLen},
		{"mtu", false, readMTU},
		{"netns", false, readNS},
		{"xdp", false, readXDP(0)},
		{"xdpgeneric", false, readXDP(unix.XDP_FLAGS_SKB_MODE)},
		{"xdpdrv", false, readXDP(unix.XDP_FLAGS_DRV_MODE)},
		{"xdpoffload", false, readXDP(unix.XDP_FLAGS_HW_MODE)},
		{"multicast", false, setFlag(unix.IFF_MULTICAST)},
		{"allmulticast", false, setFlag(unix.IFF_ALLMULTI)},
		{"promisc", false, setFlag(unix.IFF_PROMISC)},
		{"trailers", false, setFlagNot(unix.IFF_NOTRAILERS)},
		{"arp", false, setFlagNot(unix.IFF_NOARP)},
		{"carrier", false, func(r *linkReader, k string) { r.Config.Carrier = r.onOff(k) }},
		{"master", true, func(r *linkReader, k string) { r.Master, r.VRF = r.Value(k), false }},
		{"vrf", false, func(r *linkReader, k string) { r.Master, r.VRF = r.Value(k), true }},
		{"nomaster", true, func(r *linkReader, _ string) { r.Config.Master = new(uint32) }},
		{"dynamic", true, setFlag(unix.IFF_DYNAMIC)},
		{"type", true, readType},
		{"alias", true, func(r *linkReader, k string) { v := r.Value(k); r.Config.Alias = &v }},
		{"group", false, readGroup},
		{"mode", false, readLinkMode},
		{"numtxqueues", true, func(r *linkReader, k string) { r.Config.Limits.TxQueues = r.number32(k) }},
		{"numrxqueues", true, func(r *linkReader, k string) { r.Config.Limits.RxQueues = r.number32(k) }},
		{"addrgenmode", true, readAddrGenMode},
		{"link-netns", false, func(r *linkReader, k string) { r.ParentNetns = r.Value(k) }},
		{"link-netnsid", true, func(r *linkReader, k string) { id := int32(r.number32(k)); r.Config.ParentNSID = &id }},
		{"protodown", false, func(r *linkReader, k string) { r.Config.ProtoDown = r.onOff(k) }},
		{"gso_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GSOMaxSize = r.number32(k) }},
		{"gso_max_segs", false, func(r *linkReader, k string) { r.Config.Limits.GSOMaxSegs = r.number32(k) }},
		{"gro_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GROMaxSize = r.number32(k) }},
		{"gso_ipv4_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GSOIPv4MaxSize = r.number32(k) }},
		{"gro_ipv4_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GROIPv4MaxSize = r.number32(k) }},
	}
}

func (r *linkReader) number32(keyword string) uint32 {
	word := r.Value(keyword)
	n, ok := Number(word, 1<<32-1)
	if !ok {
		r.Fail("%q: %q is not a number", keyword, word)
	}
	return uint32(n)
}

func (r *linkReader) lladdr(keyword string) rtnl.LLAddr {
	word := r.Value(keyword)
	a, err := rtnl.ParseLLAddr(word)
	if err != nil && r.Err == nil {
		r.Err = &Error{Text: fmt.Sprintf("%q: %v", keyword, err), Status: 1}
	}
	return a
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

func readQueueLen(r *linkReader, k string) {
	if r.Config.TxQueueLen != nil {
		r.Fail(`"txqueuelen" is given twice`)
	}
	n := r.number32(k)
	r.Config.TxQueueLen = &n
}

func readMTU(r *linkReader, k string) {
	if r.Config.MTU != 0 {
		r.Fail(`"mtu" is given twice`)
	}
	r.Config.MTU = r.number32(k)
}

func readNS(r *linkReader, k string) {
	if r.NS != "" {
		r.Fail(`"netns" is given twice`)
	}
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
