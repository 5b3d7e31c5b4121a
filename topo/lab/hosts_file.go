package lab

import (
	"fmt"
	"sort"
	"strings"

	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// The aliases of all hosts are in one text, the hosts file of each host.
var aliasesKey = hostKey{
	read: func(_ *syntax.Decoder, f *fileHost, h *Host) { h.Aliases = f.Aliases },
	export: func(e *exporter, o topo.Object) {
		if f, ok := o.(topo.File); ok && f.Name == "hosts" {
			e.aliases(f.Content)
		}
	},
	format: func(h *Host, m *syntax.Mapping) { m.List("aliases", h.Aliases) },
}

// aliases checks the aliases of a host. owner has the host of each name so far.
func (k *checker) aliases(h *Host, owner map[string]string) {
	for _, a := range h.Aliases {
		switch {
		case len(a) > 253 || !isHostName(strings.TrimSuffix(a, ".")):
			k.mistakef(h.at, a, nameForm, "alias %q is not a valid host name", a)
		case owner[a] != "" && owner[a] != h.Name:
			k.mistakef(h.at, a, "a name belongs to one host", "alias %s of %s is already used by %s", a, h.Name, owner[a])
		}
		owner[a] = h.Name
	}
}

// hostsFiles makes the file /etc/hosts of each host.
func (c *compiler) hostsFiles() {
	text := c.hostsFile()
	if text == c.knownHostsFile {
		text = c.knownHostsFile
	}
	for i := range c.t.Hosts {
		if h := &c.t.Hosts[i]; h.ownsEtc() {
			c.put(topo.File{NS: h.Name, Name: "hosts", Content: text})
		}
	}
}

// hostsFile returns the content of /etc/hosts. It is the same for all hosts, so
// that they share one string. It is sorted by name, so that it does not depend
// on the order of the lab file.
func (c *compiler) hostsFile() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	hosts := make([]*Host, 0, len(c.t.Hosts)+1)
	for i := range c.t.Hosts {
		hosts = append(hosts, &c.t.Hosts[i])
	}
	if _, ok := c.l.Hosts[topo.Machine]; !ok {
		hosts = append(hosts, &Host{Name: topo.Machine})
	}
	sort.Slice(hosts, func(i, j int) bool { return naming.Compare(hosts[i].Name, hosts[j].Name) < 0 })
	for _, h := range hosts {
		c.hostsLines(&b, h.Name, h.Aliases)
	}
	return b.String()
}

func (c *compiler) hostsLines(b *strings.Builder, host string, aliases []string) {
	for _, v4 := range []bool{true, false} {
		if a := c.l.addrTo("", host, v4); a.IsValid() {
			fmt.Fprintf(b, "%s %s\n", a, strings.Join(append([]string{host}, aliases...), " "))
		}
	}
}

// aliases reads the aliases of hosts from a hosts file. All hosts usually have the same file.
func (e *exporter) aliases(text string) {
	if text == e.hostsFile {
		return
	}
	e.hostsFile = text
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		if i, ok := e.hosts[omitDefault(words[1], topo.Machine)]; ok && len(e.t.Hosts[i].Aliases) == 0 {
			e.t.Hosts[i].Aliases = words[2:]
		}
	}
}
