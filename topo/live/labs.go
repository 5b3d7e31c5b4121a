package live

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/hostfile"
)

// Labs lists the labs that have an object on the machine. It looks for marks in the
// machine's namespace and in all named namespaces. Without CAP_SYS_ADMIN, it sees
// only the marks on the machine's links and in the hosts' files for /etc, which a complete lab has.
func Labs() ([]string, error) {
	labs, err := findLabs("")
	if err != nil {
		return nil, err
	}
	return naming.Sorted(labs), nil
}

// IsUp reports whether a lab has an object on the machine. It looks into the machine's
// namespace first and stops at the first mark of the lab.
func IsUp(lab string) (bool, error) {
	if !naming.IsLab(lab) {
		return false, nil
	}
	labs, err := findLabs(lab)
	return labs[lab], err
}

// EmptyLabs returns the labs that have neither a host nor a link any more, but still have other objects:
// after a crash, or because another program deleted the hosts and links.
func EmptyLabs() (empty []string, err error) {
	labs, err := Labs()
	for _, name := range labs {
		o, openErr := Observe(name)
		if openErr != nil {
			return empty, openErr
		}
		status, statusErr := o.Status(nil)
		o.Close()
		if statusErr != nil {
			return empty, statusErr
		}
		exists := func(h HostStatus) bool { return h.Name != topo.Machine || len(h.Links) > 0 }
		if !slices.ContainsFunc(status.Hosts, exists) {
			empty = append(empty, name)
		}
	}
	return empty, err
}

// StaleNames returns the names in [nsfs.Dir] without a namespace. It leaves out those of the given labs.
func StaleNames(except []string) (names []string, err error) {
	entries, err := nsfs.List()
	for _, e := range entries {
		lab := strings.TrimPrefix(nsfs.StaleMark(e.Name), mark.Of(""))
		if e.Stale && !slices.Contains(except, lab) {
			names = append(names, e.Name)
		}
	}
	return names, err
}

// labNames are the labs named in marks. Root in a namespace can write any mark there, so
// invalid names are ignored.
type labNames map[string]bool

func (l labNames) add(name string) {
	if naming.IsLab(name) {
		l[name] = true
	}
}

// findLabs finds the labs with a mark. It stops when it finds the given one; for "" it
// finds all.
func findLabs(lab string) (labs labNames, err error) {
	labs = labNames{}
	conn, err := rtnl.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := readLinkMarks(conn, labs); err != nil || labs[lab] {
		return labs, err
	}
	if err := readTableMarks(labs); err != nil || labs[lab] {
		return labs, err
	}
	return labs, labs.addNamespaces(lab)
}

// addNamespaces adds the labs of named namespaces. It stops when it finds the given one. Root in a namespace can write
// marks on its lo, so these count only if the kernel does not let vnet read those on names.
func (l labNames) addNamespaces(lab string) error {
	entries, err := nsfs.List()
	if err != nil {
		return err
	}
	marks := nsfs.Marks()
	for _, e := range entries {
		if owner, ok := strings.CutPrefix(cmp.Or(marks[e.Name], nsfs.StaleMark(e.Name)), mark.Of("")); ok {
			l.add(owner)
		} else if marks == nil {
			if err := readNamespaceMarks(e.Name, l); err != nil {
				return err
			}
		}
		if l[lab] {
			return nil
		}
	}
	return l.addFiles(marks)
}

// addFiles adds the labs whose files for /etc still exist, although their namespaces are deleted or belong to somebody
// else now. If another program deleted the namespaces, these files may be all that is left of a lab. It skips
// namespaces with a mark: their labs are known already.
func (l labNames) addFiles(marks map[string]string) error {
	marked := func(name string) bool { return marks[name] != "" }
	err := hostfile.Each(nsfs.EtcDir, marked, func(path string) error {
		lab, err := hostfile.LabOf(path)
		l.add(lab)
		return err
	})
	if errors.Is(err, fs.ErrPermission) { // files of others, read without root's rights
		return nil
	}
	return err
}

// loopback is the index of lo.
const loopback = 1

// BridgePorts returns the names of the links of all labs that are ports of bridges on the machine.
func BridgePorts() (names []string, err error) {
	conn, err := rtnl.Dial(nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	links, err := conn.Links(rtnl.LinkFilter{NoStats: true})
	for _, l := range links {
		if strings.HasPrefix(l.Alias, mark.Of("")) && l.Master != 0 {
			names = append(names, l.Name)
		}
	}
	return names, err
}

// readNamespaceMarks adds the labs named on lo of a named namespace. It ignores names
// without a namespace, and namespaces that vnet may not enter.
func readNamespaceMarks(name string, labs labNames) error {
	ns, err := nsfs.Open(name)
	if err != nil {
		return nil // deleted, stale, or no permission
	}
	defer ns.Close()
	conn, err := rtnl.Dial(ns)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	lo, err := conn.Link(rtnl.LinkID{Index: 1})
	labs.addMarks(lo)
	return err
}

func readLinkMarks(conn *rtnl.Conn, labs labNames) error {
	links, err := conn.Links(rtnl.LinkFilter{NoStats: true})
	for _, l := range links {
		if l.Index == loopback {
			l.Alias = "" // marks a namespace, which [nsfs.Marks] knows better; on the machine, it is not vnet's
		}
		labs.addMarks(l)
	}
	return err
}

func (l labNames) addMarks(link rtnl.Link) {
	if lab, ok := strings.CutPrefix(link.Alias, mark.Of("")); ok {
		l.add(lab)
	}
	for _, name := range link.AltNames {
		l.add(mark.RecordOwner(name))
	}
}

func readTableMarks(labs labNames) error {
	conn, err := nft.Dial(nil)
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return err
	}
	defer conn.Close()
	if err := labs.addTables(conn); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// addTables adds the labs that have rules.
func (l labNames) addTables(conn *nft.Conn) error {
	tables, err := conn.RuleTables()
	for _, t := range tables {
		if lab, ok := strings.CutPrefix(t, mark.Table("")); ok {
			l.add(lab)
		}
	}
	return err
}

// A HostError says that a host was not found, or that several labs have a host of this
// name.
type HostError struct {
	Host string   // the host searched
	Lab  string   // the lab searched; "" means all labs
	Labs []string // the labs that have this host
	// Known are the hosts that exist.
	Known []string
}

// Error names the host and the labs.
func (e *HostError) Error() string {
	switch {
	case len(e.Labs) > 0:
		return fmt.Sprintf("there is a host %q in each of the labs %s", e.Host, strings.Join(e.Labs, ", "))
	case e.Lab != "":
		return fmt.Sprintf("there is no host %q in lab %s", e.Host, e.Lab)
	}
	return fmt.Sprintf("there is no host %q", e.Host)
}

// FindHost opens the namespace of a host. It searches all labs if lab is "". name is the
// namespace's name in [nsfs.Dir], "" if it has none. The error is a *[HostError] if no lab
// or several labs have the host.
func FindHost(lab, host string) (ns *os.File, name string, err error) {
	labs, err := Labs()
	if err != nil {
		return nil, "", err
	}
	missing := &HostError{Host: host, Lab: lab}
	var found *os.File
	defer func() {
		if err != nil && found != nil {
			found.Close()
		}
	}()
	for _, l := range labs {
		if lab != "" && l != lab {
			continue
		}
		o, err := Observe(l)
		if err != nil {
			return nil, "", err
		}
		defer o.Close()
		hosts, err := o.Hosts()
		if err != nil {
			return nil, "", err
		}
		missing.Known = append(missing.Known, hosts...)
		if !slices.Contains(hosts, host) {
			continue
		}
		if missing.Labs = append(missing.Labs, l); len(missing.Labs) > 1 {
			continue
		}
		if found, name, err = o.Host(host); err != nil {
			return nil, "", err
		}
	}
	if len(missing.Labs) != 1 {
		return nil, "", missing
	}
	return found, name, nil
}
