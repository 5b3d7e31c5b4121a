package main

import (
	"errors"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// netnsList lists the names with their ids in this namespace.
func (s *session) netnsList() error {
	entries, err := nsfs.List()
	if err != nil || entries == nil {
		return err
	}
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	list := make([]show.Netns, len(entries))
	for i, e := range entries {
		list[i].Name = e.Name
		if e.Err != nil {
			s.note("%v", e.Err)
		} else if e.Stale {
			s.note("%s is stale: the name has no namespace; vnet netns del %[1]s removes it", e.Name)
		} else if id, ok := nsidOf(c, e.Name); ok {
			list[i].ID = &id
		}
	}
	return show.NetnsList(s.out, list, s.style())
}

// nsidOf returns the id of a named namespace in this one. ok is false if it has none or cannot be opened.
func nsidOf(c *rtnl.Conn, name string) (id int, ok bool) {
	ns, err := nsfs.Open(name)
	if err != nil {
		return 0, false
	}
	defer ns.Close()
	n, err := c.NSID(ns)
	return int(n), err == nil && n != rtnl.NoNSID
}

// netnsSet assigns an id to a namespace.
func (s *session) netnsSet(c words.NetnsCommand) error {
	ns, err := nsfs.Open(c.Name)
	if errors.Is(err, nsfs.ErrNotNamespace) {
		return exit(exitKernel, err) // in ip(8), the kernel refuses it
	}
	if err != nil {
		return noNetns(c.Name, exitFailed, err)
	}
	defer ns.Close()
	return s.do(rtnl.SetNSID(ns, int32(c.NSID)))
}

// netnsListID lists the ids that namespaces have here or, with target-nsid, in another namespace. With nsid it lists
// only the namespace with that id here.
func (s *session) netnsListID(cmd words.NetnsCommand) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	here, err := c.NSIDs()
	if err != nil {
		return err
	}
	there := here
	if cmd.Target >= 0 {
		if there, err = c.NSIDsOf(int32(cmd.Target)); err != nil {
			return exit(exitFailed, err) // ip(8)'s exit code for this error
		}
	}
	list := nsidList(here, there, cmd)
	if list == nil {
		return exit(exitKernel, words.Errorf("no namespace has the id %d here", cmd.NSID))
	}
	names, err := namesByNSID(c)
	if err != nil {
		return err
	}
	for i := range list {
		id := list[i].ID
		if list[i].Current != nil {
			id = *list[i].Current
		}
		list[i].Name = names[id]
	}
	return show.NSIDs(s.out, list, s.style())
}

// nsidList returns the selected ids; nil if the selected id does not exist.
func nsidList(here, there []rtnl.NSID, cmd words.NetnsCommand) []show.NSID {
	list := make([]show.NSID, 0, len(there))
	for _, n := range there {
		entry := show.NSID{ID: int(n.ID)}
		ours := entry.ID
		if cmd.Target >= 0 {
			ours = int(n.Current)
			entry.Current = &ours
		}
		if cmd.NSID < 0 || ours == cmd.NSID {
			list = append(list, entry)
		}
	}
	if cmd.NSID < 0 || len(list) > 0 {
		return list
	}
	for _, n := range here {
		if int(n.ID) == cmd.NSID { // it has an id here, but none there
			return []show.NSID{{ID: rtnl.NoNSID, Current: &cmd.NSID}}
		}
	}
	return nil
}

// namesByNSID returns the names of the namespaces that have an id here. If a namespace has several names, the
// result has the last one, as in ip(8).
func namesByNSID(c *rtnl.Conn) (map[int]string, error) {
	entries, err := nsfs.List()
	names := map[int]string{}
	for _, e := range entries {
		if id, ok := nsidOf(c, e.Name); ok {
			names[id] = e.Name
		}
	}
	return names, err
}
