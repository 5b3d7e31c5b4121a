package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// linkObject is vnet link.
func linkObject() *object {
	return &object{
		name: "link", short: true, usage: "network devices: veth pairs, bridges, VLANs …", help: linkHelp,
		verbs: words.LinkVerbs(), run: (*session).link,
	}
}

const linkHelp = `
vnet link [show] [[dev] DEV] [up] [group GROUP] [master DEV] [vrf NAME] [nomaster]
          [type KIND]
vnet link add [link DEV] [name] NAME [PROPERTIES] type KIND [KIND'S OPTIONS]
vnet link set { [dev] DEV | group GROUP } [PROPERTIES] [type KIND KIND'S OPTIONS]
vnet link del { [dev] DEV | group GROUP }
vnet link property { add | del } [dev] DEV altname NAME ...
vnet link help KIND

PROPERTIES := [up | down] [name NAME] [mtu BYTES] [address LLADDR] [broadcast LLADDR]
              [master DEV | nomaster | vrf NAME] [netns { NAME | PID }] [index N]
              [alias TEXT] [group GROUP] [txqueuelen PACKETS] [carrier on|off]
              [arp on|off] [multicast on|off] [allmulticast on|off] [promisc on|off]
              [addrgenmode eui64|none|stable_secret|random] [mode default|dormant]
              [state up|dormant|testing] [protodown on|off] [protodown_reason N on|off]
KIND       := veth [peer [name] NAME [PROPERTIES]]
              bridge [vlan_filtering 0|1] [stp_state 0|1] [ageing_time N] ...
              vlan id N [protocol 802.1Q|802.1ad]
              vxlan id N [remote ADDR | group ADDR] [local ADDR] [dev DEV] [dstport N]
              macvlan | macvtap [mode bridge|private|vepa|passthru|source]
              ipvlan | ipvtap [mode l2|l3|l3s] | vrf table TABLE | dummy | ifb
              bond [mode active-backup|802.3ad|...] [miimon N] [lacp_rate slow|fast] ...
              bridge_slave [isolated on|off] [hairpin on|off] ...  (of a port, with set)

   vnet link add veth-red type veth peer name veth-blue
   vnet link set veth-red netns red
   vnet link add v-net-0 type bridge
   vnet link set veth-red-br master v-net-0 up
   vnet link del veth-red
`

// linkKinds are the kinds that vnet link add can create.
var linkKinds = []string{"bond", "bridge", "dummy", "ifb", "ipvlan", "ipvtap", "macvlan", "macvtap", "veth", "vlan",
	"vrf", "vxlan"}

// link runs vnet link.
func (s *session) link(args []string) error {
	w := words.Of(args)
	switch verb := w.LinkVerb(); verb {
	case "add", "set", "replace", "delete":
		return s.linkChange(verb, w)
	case "show":
		return s.linkShow(w)
	case "property":
		return s.linkProperty(w)
	case "help":
		return s.linkHelp(w)
	}
	return w.Err
}

// linkHelp prints the help of link, or with a kind after it that kind's options; ip(8)'s exit code is then 0.
func (s *session) linkHelp(w *words.Words) error {
	if usage := words.KindUsage(w.Next()); usage != "" {
		_, err := fmt.Fprint(s.out, usage)
		return err
	}
	return s.usage(linkHelp)
}

// kindUsage prints the options of a kind after "type KIND help". ip(8)'s exit code is then 1, or 255 for kinds that it
// does not know.
func (s *session) kindUsage(kind string) error {
	usage := words.KindUsage(kind)
	if usage == "" {
		return s.usage(linkHelp)
	}
	fmt.Fprint(s.err, usage)
	return exit(exitFailed, errReported)
}

func (s *session) linkChange(verb string, w *words.Words) error {
	c := w.LinkChange(verb)
	if w.Err != nil {
		return w.Err
	}
	switch {
	case c.Help && c.Type != "":
		return s.kindUsage(c.Type)
	case c.Help:
		return s.usage(linkHelp)
	}
	s.vxlanFamily(&c)
	if verb != "add" && verb != "replace" {
		if err := s.checkExisting(&c); err != nil {
			return err
		}
	}
	if err := s.resolve(&c); err != nil {
		return err
	}
	err := s.explain(c, s.do(linkRequest(verb, c)))
	// ip(8) looks up the link first and has another exit code if there is none. Before Linux 5.19, the lookup finds a link
	// also by an alternative name, but a change does not.
	if c.Dev != "" && c.DevIndex == 0 && verb != "add" && verb != "replace" && errors.Is(err, fs.ErrNotExist) {
		index, lerr := s.linkIndex(c.Dev)
		if lerr != nil {
			return lerr
		}
		c.DevIndex = index
		err = s.explain(c, s.do(linkRequest(verb, c)))
	}
	return err
}

func linkRequest(verb string, c words.LinkChange) rtnl.Request {
	id := rtnl.LinkID{Name: c.Dev, Index: c.DevIndex}
	switch {
	case verb == "add" || verb == "replace":
		return rtnl.AddLink(c.Config)
	case verb == "delete" && c.Dev == "":
		return rtnl.DeleteLinkGroup(*c.Config.Group)
	case verb == "delete":
		return rtnl.DeleteLink(id)
	case c.Dev == "":
		return rtnl.SetLinkGroup(*c.Config.Group, c.Config)
	}
	return rtnl.SetLink(id, c.Config)
}

// resolve looks up the links and namespaces that a change names.
func (s *session) resolve(c *words.LinkChange) (err error) {
	l := &c.Config
	if c.Rename {
		if c.DevIndex, err = s.linkIndex(c.Dev); err != nil {
			return err
		}
	}
	if c.NS != "" {
		if l.NS, l.NSPid, err = netnsOf(c.NS); err != nil {
			return err
		}
		s.opened = append(s.opened, l.NS)
	}
	if c.ParentNetns != "" {
		err = s.parentNetns(c)
	} else {
		l.Parent, err = s.linkIndex(c.Parent)
	}
	if err != nil {
		return err
	}
	if err := s.resolveMaster(c); err != nil {
		return err
	}
	for option, name := range c.Links {
		index, err := s.linkIndex(name)
		switch {
		case err != nil && (option == "backup_port" || c.Type == "vxlan"):
			return exit(exitUsage, err)
		case err != nil:
			return err
		}
		if options := l.Kind.Options; options != nil {
			options[option] = uint64(index)
		} else {
			l.Port[option] = uint64(index)
		}
	}
	if c.Peer == nil {
		return nil
	}
	l.Kind.Peer = &c.Peer.Config
	return s.resolve(c.Peer)
}

// netnsOf opens a namespace by name or path, or parses a process id.
func netnsOf(word string) (ns *os.File, pid uint32, err error) {
	ns, err = openNetns(word)
	if err == nil {
		return ns, 0, nil
	}
	if n, ok := words.Number(word, 1<<31-1); ok && n > 0 {
		return nil, uint32(n), nil
	}
	return nil, 0, noNetns(word, exitUsage, err)
}

func (s *session) resolveMaster(c *words.LinkChange) error {
	if c.Master == "" {
		return nil
	}
	if c.VRF {
		if _, err := s.vrfTable(c.Master); err != nil {
			return exit(exitUsage, err)
		}
	}
	index, err := s.linkIndex(c.Master)
	if err != nil {
		return exit(exitUsage, err) // ip(8)'s exit code for a missing master
	}
	c.Config.Master = &index
	return nil
}

// parentNetns finds the parent link in another namespace. That namespace needs an id in this one.
func (s *session) parentNetns(c *words.LinkChange) error {
	ns, err := nsfs.Open(c.ParentNetns)
	if err != nil {
		return noNetns(c.ParentNetns, exitUsage, err)
	}
	defer ns.Close()
	there, err := rtnl.Dial(ns)
	if err != nil {
		return err
	}
	defer there.Close()
	parent, err := there.Link(rtnl.LinkID{Name: c.Parent})
	if err != nil {
		return err
	}
	conn, err := s.rtnl()
	if err != nil {
		return err
	}
	id, err := conn.NSID(ns)
	if err != nil {
		return err
	}
	if id == rtnl.NoNSID {
		return fmt.Errorf("namespace %s has no id here; vnet netns set %[1]s auto assigns one", c.ParentNetns)
	}
	c.Config.Parent, c.Config.ParentNSID = parent.Index, &id
	return nil
}

func (s *session) linkProperty(w *words.Words) error {
	p := w.LinkProperty()
	if w.Err != nil {
		return w.Err
	}
	if p.Help {
		return s.usage(linkHelp)
	}
	index, err := s.linkIndex(p.Dev)
	if err != nil {
		return err
	}
	request := rtnl.AddAltNames
	if p.Delete {
		request = rtnl.DeleteAltNames
	}
	return s.do(request(rtnl.LinkID{Name: p.Dev, Index: index}, p.AltNames...))
}

func (s *session) linkShow(w *words.Words) error {
	sel := w.LinkSelection()
	if w.Err != nil {
		return w.Err
	}
	if sel.Help {
		return s.usage(linkHelp)
	}
	if strings.Contains(sel.Dev, ":") {
		return s.noLink(sel.Dev) // ip(8), too, shows a link only by its own names
	}
	all, chosen, err := s.selectLinks(sel)
	if err != nil {
		return err
	}
	style, err := s.linkStyle(all)
	if err != nil {
		return err
	}
	style.Family = unix.AF_PACKET // whatever -family is
	return show.Links(s.out, chosen, style)
}

// selectLinks reads all links and returns the selected ones.
func (s *session) selectLinks(sel words.LinkSelection) (all, chosen []rtnl.Link, err error) {
	c, err := s.rtnl()
	if err != nil {
		return nil, nil, err
	}
	var index, master uint32
	if index, err = s.linkIndex(sel.Dev); err != nil {
		return nil, nil, err
	}
	if sel.VRF {
		if _, err := s.vrfTable(sel.Master); err != nil {
			return nil, nil, exit(exitUsage, err)
		}
	}
	if master, err = s.linkIndex(sel.Master); err != nil {
		return nil, nil, exit(exitUsage, err)
	}
	if all, err = c.Links(rtnl.LinkFilter{NoStats: s.Stats == 0 && s.Details == 0}); err != nil {
		return nil, nil, err
	}
	for _, l := range all {
		if (index == 0 || l.Index == index) && sel.Matches(l, master) {
			chosen = append(chosen, l)
		}
	}
	return all, chosen, nil
}

// linkStyle returns the style for links, with the names of other links and of namespaces.
func (s *session) linkStyle(all []rtnl.Link) (show.LinkStyle, error) {
	byIndex := make(map[uint32]rtnl.Link, len(all))
	otherNetns := false
	for _, l := range all {
		byIndex[l.Index] = l
		otherNetns = otherNetns || l.ParentNSID != nil
	}
	names := map[int]string{}
	if otherNetns {
		c, err := s.rtnl()
		if err != nil {
			return show.LinkStyle{}, err
		}
		if names, err = namesByNSID(c); err != nil {
			return show.LinkStyle{}, err
		}
	}
	return show.LinkStyle{
		Style:     s.style(),
		Link:      func(index uint32) (rtnl.Link, bool) { l, ok := byIndex[index]; return l, ok },
		Namespace: func(id int32) string { return names[int(id)] },
	}, nil
}
