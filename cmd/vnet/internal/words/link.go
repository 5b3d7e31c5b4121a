package words

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

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
	// Type is the word after "type"; "" if it is not given.
	Type string
	// Peer is the other end of a veth pair; nil is none.
	Peer *LinkChange
	// Index is the index of a new link, or of a link in its new namespace; 0 lets the kernel choose.
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
	// seen holds the keywords that can be given only once.
	seen map[string]bool
}

// once fails if the keyword was given before.
func (r *linkReader) once(keyword string) {
	if r.seen[keyword] {
		r.Fail("%q is given twice", keyword)
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[keyword] = true
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
	if !r.add && r.Dev == "" {
		r.Dev = r.Name // link set name DEV up
	}
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
	r.oneName()
	r.checkIndexAndGroup()
	if r.add {
		if r.Name == "" {
			r.Name = r.Dev
		}
		r.Config.Name = r.Name
		r.Config.Index = r.Index
	} else {
		r.Config.NewIndex = r.Index
		if r.Name != "" && r.Name != r.Dev {
			r.Config.Name, r.Rename = r.Name, true
		}
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

// oneName refuses two names for a new link: the name follows the keyword "name", or has no keyword.
func (r *linkReader) oneName() {
	if r.add && r.Name != "" && r.Dev != "" && r.Name != r.Dev {
		r.Fail("a new link has one name, not both %q and %q", r.Name, r.Dev)
	}
}

// checkIndexAndGroup refuses an index for a link that exists and stays in its namespace, and a group instead of a link
// where ip(8) does. The kernel would ignore them.
func (r *linkReader) checkIndexAndGroup() {
	switch {
	case r.Index != 0 && !r.add && r.NS == "":
		r.FailHint("an index can be chosen for a new link, or with netns for a link that moves to another namespace",
			"the index of a link cannot be changed")
	case r.Config.Group == nil || r.Dev != "" || r.Name != "":
	case r.add:
		r.Fail("the name is missing: a new link needs more than a group")
	case len(r.Config.Kind.Options) > 0 || len(r.Config.Port) > 0 || r.Peer != nil || r.Links != nil:
		r.Fail(`the options of a kind cannot be set for a group`)
	default:
		r.Config.Kind, r.Config.PortKind = rtnl.Kind{}, "" // ip(8) ignores "type" for a group
	}
}

func (r *linkReader) setName(name string) {
	r.once("name")
	r.Name = name
	r.checkName(name, true)
}

// linkKeywords returns the keywords in the order in which ip(8) matches abbreviations.
func linkKeywords() []keyword[linkReader] {
	return []keyword[linkReader]{
		{"up", false, func(r *linkReader, _ string) { r.Config.SetUp(true) }},
		{"down", false, func(r *linkReader, _ string) { r.Config.SetUp(false) }},
		{"name", false, func(r *linkReader, k string) { r.setName(r.Value(k)) }},
		{"index", false, readIndex},
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
		{"carrier", false, func(r *linkReader, k string) { r.Config.Carrier = r.onOffEINVAL(k) }},
		{"master", true, func(r *linkReader, k string) { r.Master, r.VRF = r.Value(k), false }},
		{"vrf", false, func(r *linkReader, k string) { r.Master, r.VRF = r.Value(k), true }},
		{"nomaster", true, func(r *linkReader, _ string) { r.Config.Master = new(uint32) }},
		{"dynamic", true, setFlag(unix.IFF_DYNAMIC)},
		{"type", true, readType},
		{"alias", true, func(r *linkReader, k string) { v := r.Value(k); r.Config.Alias = &v }},
		{"group", false, readGroup},
		{"mode", false, readLinkMode},
		{"state", false, readOperState},
		{"numtxqueues", true, func(r *linkReader, k string) { r.Config.Limits.TxQueues = r.integerOnce("numtxqueues") }},
		{"numrxqueues", true, func(r *linkReader, k string) { r.Config.Limits.RxQueues = r.integerOnce("numrxqueues") }},
		{"addrgenmode", true, readAddrGenMode},
		{"link-netns", true, func(r *linkReader, k string) { r.once("link-netns"); r.ParentNetns = r.Value(k) }},
		{"link-netnsid", true, readParentNSID},
		{"protodown", false, func(r *linkReader, k string) { r.Config.ProtoDown = r.onOffEINVAL(k) }},
		{"protodown_reason", false, readProtoDownReason},
		{"gso_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GSOMaxSize = r.number32(k) }},
		{"gso_max_segs", false, func(r *linkReader, k string) { r.Config.Limits.GSOMaxSegs = uint32(r.number(k, 1<<16-1)) }},
		{"gro_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GROMaxSize = r.number32(k) }},
		{"gso_ipv4_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GSOIPv4MaxSize = r.number32(k) }},
		{"gro_ipv4_max_size", false, func(r *linkReader, k string) { r.Config.Limits.GROIPv4MaxSize = r.number32(k) }},
	}
}
