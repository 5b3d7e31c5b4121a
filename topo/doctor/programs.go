package doctor

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
)

// A configFile is a file of another program's configuration.
type configFile struct{ path, text string }

func sortFiles(files []configFile) {
	sort.Slice(files, func(i, j int) bool { return path.Base(files[i].path) < path.Base(files[j].path) })
}

// values returns the values of a key in any section of a file with systemd's or NetworkManager's syntax.
func (f configFile) values(key string) (values []string) {
	for line := range strings.Lines(f.text) {
		name, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimRight(strings.TrimSpace(name), "+") == key {
			values = append(values, strings.FieldsFunc(value, isSeparator)...)
		}
	}
	return values
}

func isSeparator(r rune) bool { return strings.ContainsRune(" \t\n;,", r) }

// matches reports whether one of the key's patterns matches a name. A file without the key matches all names.
func (f configFile) matches(key, name string) bool {
	patterns := f.values(key)
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return len(patterns) == 0
}

var systemdDirs = []string{
	"/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network",
}

// udev finds a .link file with which udev changes the MAC addresses of new links. It does not concern the links of
// labs: vnet creates them with an address, and udev keeps it.
func udev(e Examination) ([]Finding, error) {
	if e.Want != nil || !e.exists("/run/udev/control") {
		return nil, nil
	}
	for _, f := range e.configFiles(".link", systemdDirs...) {
		if !f.matches("OriginalName", "veth0") || !f.matches("Driver", "veth") || f.values("Path") != nil ||
			f.values("MACAddress") != nil {
			continue // not for veth pairs
		}
		if !slices.Contains(f.values("MACAddressPolicy"), "persistent") {
			return nil, nil
		}
		text := "udev replaces the MAC addresses of veth pairs and bridges that are created without one " +
			"(MACAddressPolicy=persistent in " + f.path + ")"
		return []Finding{{"udev", text, []string{
			`printf '[Match]\nDriver=veth bridge\n\n[Link]\nMACAddressPolicy=none\n' >/etc/systemd/network/05-vnet.link`}}}, nil
	}
	return nil, nil
}

// networkManager finds links of the lab on the machine that NetworkManager may configure.
func networkManager(e Examination) ([]Finding, error) {
	if !e.exists("/run/NetworkManager") {
		return nil, nil
	}
	files := append(e.configFiles(".conf", "/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d",
		"/usr/lib/NetworkManager/conf.d"), e.configFiles(".conf", "/etc/NetworkManager")...)
	var managed []string
	for _, name := range e.machineLinks() {
		unmanaged := slices.ContainsFunc(files, func(f configFile) bool {
			return slices.ContainsFunc(f.values("unmanaged-devices"), func(p string) bool {
				ok, err := path.Match(strings.TrimPrefix(p, "interface-name:"), name)
				return ok && err == nil
			})
		})
		if !unmanaged {
			managed = append(managed, name)
		}
	}
	if len(managed) == 0 {
		return nil, nil
	}
	return []Finding{{"NetworkManager", "NetworkManager may configure links of the lab: " + firstNames(managed), []string{
		fmt.Sprintf(`printf '[keyfile]\nunmanaged-devices+=interface-name:%s\n' >/etc/NetworkManager/conf.d/vnet-%s.conf`,
			strings.Join(managed, ";interface-name:"), e.Lab),
		"nmcli general reload",
	}}}, nil
}

// networkd finds links of the lab on the machine that systemd-networkd configures.
func networkd(e Examination) ([]Finding, error) {
	if !e.exists("/run/systemd/netif") {
		return nil, nil
	}
	files := e.configFiles(".network", systemdDirs...)
	var managed []string
	by := ""
	for _, name := range e.machineLinks() {
		at := slices.IndexFunc(files, func(f configFile) bool {
			return f.matches("Name", name) && f.matches("Driver", "veth") && f.matches("Type", "ether") &&
				f.matches("Kind", "veth") && f.values("MACAddress") == nil && f.values("Path") == nil
		})
		if at >= 0 && !slices.Contains(files[at].values("Unmanaged"), "yes") {
			managed, by = append(managed, name), files[at].path
		}
	}
	if len(managed) == 0 {
		return nil, nil
	}
	text := "systemd-networkd configures links of the lab, by " + by + ": " + firstNames(managed)
	return []Finding{{"networkd", text, []string{
		fmt.Sprintf(`printf '[Match]\nName=%s\n\n[Link]\nUnmanaged=yes\n' >/etc/systemd/network/05-vnet-%s.network`,
			strings.Join(managed, " "), e.Lab),
		"networkctl reload",
	}}}, nil
}

// firstNames returns the first names of a list and the number of the others: "a, b, c, d, e and 3 more".
func firstNames(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
