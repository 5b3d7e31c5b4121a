package live

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A HostError says that a host was not found, or that several labs have a host of this
// name.
type HostError struct {
	Host string
	Lab  string   // the lab searched; "" means all
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
