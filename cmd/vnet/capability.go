package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/topo/verify"
)

// capabilityHelp says which capabilities the commands need. TestCapabilities checks it.
const capabilityHelp = `Capabilities: link, addr, route, rule, neigh and nat need CAP_NET_ADMIN. netns, exec,
shell and the option -netns need CAP_SYS_ADMIN. up, keep, down, doctor, export, graph LAB,
attach and detach need both. ls, plan and status need both if the lab is up; without them, ls lists only
names. verify needs CAP_SYS_ADMIN and CAP_NET_RAW, and for ports below 1024
CAP_NET_BIND_SERVICE. In a user namespace (vnet sandbox) every user has them all.
`

// A capability is the number of a capability; see capabilities(7).
type capability uint

// capabilityNames are the names of the capabilities that vnet needs.
var capabilityNames = map[capability]string{
	unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN", unix.CAP_NET_RAW: "CAP_NET_RAW",
	unix.CAP_NET_BIND_SERVICE: "CAP_NET_BIND_SERVICE",
}

// neededCapabilities returns the capabilities of an object's commands.
func (s *session) neededCapabilities() []capability {
	switch s.current {
	case "verify":
		return []capability{unix.CAP_SYS_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE}
	case "netns", "exec", "shell":
		return []capability{unix.CAP_SYS_ADMIN}
	case "address", "route", "rule", "neighbor", "neighbour", "link", "nat":
		if s.Netns == "" {
			return []capability{unix.CAP_NET_ADMIN}
		}
	case "": // the namespace of -netns
		return []capability{unix.CAP_SYS_ADMIN}
	}
	return []capability{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}
}

// permissionHint returns the hint for an error about permissions: the missing capabilities, or another reason; "" if it
// finds none.
func (s *session) permissionHint(err error) string {
	needed := s.neededCapabilities()
	if s.current == "netns" && refused(err) { // netns set and list-id
		needed = []capability{unix.CAP_NET_ADMIN}
	}
	if missing := missingCapabilities(needed); len(missing) > 0 {
		return "this needs " + strings.Join(missing, " and ") +
			": run it as root, or in an isolated network: vnet sandbox COMMAND"
	}
	if hint := sharedSysctlHint(err); hint != "" {
		return hint
	}
	var path *fs.PathError
	switch {
	case inUserNamespace():
		return "in this user namespace, root may not do that; run it in an isolated network: vnet sandbox COMMAND"
	case errors.As(err, &path) && errors.Is(err, unix.EACCES):
		return fmt.Sprintf("%s does not belong to this user; vnet writes to /run/netns, /run/vnet and /etc/netns: "+
			"run it as root", path.Path)
	}
	return ""
}

// missingCapabilities returns the names of those capabilities that this process does not have.
func missingCapabilities(needed []capability) (missing []string) {
	effective, err := capabilities(func(d unix.CapUserData) uint32 { return d.Effective })
	for _, c := range needed {
		if err != nil || effective>>c&1 == 0 {
			missing = append(missing, capabilityNames[c])
		}
	}
	return missing
}

// inUserNamespace reports whether this process is in a user namespace other than the initial one.
func inUserNamespace() bool {
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && string(bytes.Join(bytes.Fields(ids), []byte(" "))) != "0 0 4294967295"
}

// hintPermission prints a hint if facts could not be probed because a capability is missing.
func (s *session) hintPermission(r verify.Report) {
	for i := range r.Results {
		if err := r.Results[i].Err; errors.Is(err, fs.ErrPermission) {
			if hint := s.permissionHint(err); hint != "" {
				s.hint("%s", hint)
			}
			return
		}
	}
}
