//go:build linux

package cni

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
)

// An Env is the environment of one call.
type Env struct {
	Command     string // ADD, DEL …
	ContainerID string
	NS          string            // the namespace's path; DEL often has none
	Link        string            // the link's name in the namespace
	Args        map[string]string // CNI_ARGS; a key that occurs twice has its last value
	Path        []string          // where other plugins are
}

// required are the variables that each command needs. DEL needs no namespace: it may be gone.
var required = map[string][]string{
	"ADD":     {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"},
	"CHECK":   {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"},
	"DEL":     {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"},
	"GC":      {"CNI_PATH"},
	"STATUS":  {"CNI_PATH"},
	"VERSION": nil,
}

// ReadEnv reads and checks the environment. getenv is [os.Getenv].
func ReadEnv(getenv func(string) string) (Env, error) {
	e := Env{Command: getenv("CNI_COMMAND"), ContainerID: getenv("CNI_CONTAINERID"), NS: getenv("CNI_NETNS"),
		Link: getenv("CNI_IFNAME"), Path: filepath.SplitList(getenv("CNI_PATH"))}
	needs, ok := required[e.Command]
	if !ok {
		return e, fail(CodeEnvironment, "CNI_COMMAND: expected %s, not %q",
			strings.Join(slices.Sorted(maps.Keys(required)), ", "), e.Command)
	}
	var missing []string
	for _, name := range needs {
		if getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return e, fail(CodeEnvironment, "%s: required environment variables are missing: %s", e.Command,
			strings.Join(missing, ","))
	}
	if slices.Contains(needs, "CNI_CONTAINERID") {
		if !validName(e.ContainerID) {
			return e, fail(CodeEnvironment, "CNI_CONTAINERID: expected %s, not %q", nameForm, e.ContainerID)
		}
		if !validLink(e.Link) {
			return e, fail(CodeEnvironment, "CNI_IFNAME: expected %s, not %q", linkForm, e.Link)
		}
	}
	e.Args = parseArgs(getenv("CNI_ARGS"))
	return e, nil
}

// What the messages say about names.
const (
	nameForm = "letters, digits, and characters of " + naming.NameChars + " after the first"
	linkForm = "a link's name of at most 15 bytes without / and :"
)

// validName reports whether a container id or the name of a network is one of the specification.
func validName(name string) bool { return naming.ValidChars(name, "", naming.NameChars) }

// validLink reports whether the kernel would accept a link of this name (dev_valid_name in net/core/dev.c).
func validLink(name string) bool {
	return len(name) <= naming.MaxLinkName && naming.IsLink(name)
}

// parseArgs reads KEY=VALUE;KEY=VALUE. Unknown keys are for other plugins of the chain, whether IgnoreUnknown is there
// or not.
func parseArgs(text string) map[string]string {
	args := map[string]string{}
	for _, pair := range strings.Split(text, ";") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			args[key] = value
		}
	}
	return args
}
