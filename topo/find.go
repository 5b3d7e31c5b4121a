//go:build linux

package topo

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A HostError says which host could not be found, or in which labs there is one of that
// name.
type HostError struct {
	Host string
	Lab  string   // where it was looked for; "" is everywhere
	Labs []string // that all have one
	// Known are the hosts that there are.
	Known []string
}

// Error says what is wrong, and where.
func (e *HostError) Error() string {
	switch {
	case len(e.Labs) > 0:
		return fmt.Sprintf("there is a host %q in each of the labs %s", e.Host, strings.Join(e.Labs, ", "))
	case e.Lab != "":
		return fmt.Sprintf("there is no host %q in lab %s", e.Host, e.Lab)
	}
	return fmt.Sprintf("there is no host %q", e.Host)
}

// FindHost opens the namespace of a host of the machine's labs, or of the one named, and
// says by which name it is in [nsfs.Dir], "" if by none. A host that is not there, or
// of which there are several, is a [HostError].
func FindHost(lab, host string) (ns *os.File, name string, err error) {
	labs, err := Labs()
	if err != nil {
		return nil, "", err
	}
	missing := &HostError{Host: host, Lab: lab}
	var there *os.File
	defer func() {
		if err != nil && there != nil {
			there.Close()
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
		if there, name, err = o.Host(host); err != nil {
			return nil, "", err
		}
	}
	if len(missing.Labs) != 1 {
		return nil, "", missing
	}
	return there, name, nil
}
