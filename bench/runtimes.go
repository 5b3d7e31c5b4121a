package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

const (
	cniPlugins   = "/usr/lib/cni"
	netavarkPath = "/usr/lib/podman/netavark"
)

// A plugin is a program that a container runtime calls once per host. configure returns
// its standard input; add and remove return shell commands.
type plugin struct {
	configure   func(network, vethPair) any
	add, remove func(host, file string) string
}

// job calls the plugin for each host of a star, as a runtime does. It makes and removes
// the namespaces, which is the runtime's task, in the fastest way.
func (p plugin) job(w workload, dir folder) job {
	n, more := w.Network(0), w.Network(w.ExtraHosts())
	var down strings.Builder
	for _, c := range more.Pairs {
		file := fmt.Sprintf("%s/%s.json", dir, c[1].Host)
		text, err := json.Marshal(p.configure(more, c))
		if err != nil {
			panic(err) // strings and numbers
		}
		dir.write(c[1].Host+".json", string(text))
		down.WriteString(p.remove(c[1].Host, file) + "\n")
	}
	// Some plugins leave the bridge, others remove it.
	remove := dir.write("remove", joinLines("", more.removeCommands()))
	fmt.Fprintf(&down, "ip -force -batch %s 2>/dev/null || true\n", remove)
	return job{
		Up:   sh(dir, "up", p.calls(n, dir, "up")),
		Add:  sh(dir, "add", p.calls(more.without(n), dir, "add")),
		Down: sh(dir, "down", down.String()),
	}
}

func (p plugin) calls(n network, dir folder, name string) string {
	var b, names strings.Builder
	for _, h := range n.Hosts {
		names.WriteString("netns add " + h.Name + "\n")
		b.WriteString(p.add(h.Name, fmt.Sprintf("%s/%s.json", dir, h.Name)) + "\n")
	}
	return "ip -batch " + dir.write(name+"-names", names.String()) + "\n" + b.String()
}

type object map[string]any

// cni runs Debian's bridge plugin with or without masquerade. It does not set lo up.
func cni(masquerade bool) func(workload, folder) job {
	call := func(command, host, file string) string {
		return fmt.Sprintf("CNI_COMMAND=%[1]s CNI_CONTAINERID=%[2]s CNI_NETNS=/run/netns/%[2]s CNI_IFNAME=eth0 "+
			"CNI_PATH=%[3]s %[3]s/bridge <%[4]s >/dev/null",
			command, host, cniPlugins, file)
	}
	return plugin{
		configure: func(n network, c vethPair) any {
			return object{
				"cniVersion": "1.0.0", "name": c[0].Bridge, "type": "bridge", "bridge": c[0].Bridge,
				"isGateway": true, "isDefaultGateway": true, "ipMasq": masquerade,
				"ipam": object{"type": "static", "addresses": []object{{"address": c[1].Addr, "gateway": n.peerAddr(c[0])}}},
			}
		},
		add: func(host, file string) string {
			return "ip -n " + host + " link set lo up\n" + call("ADD", host, file)
		},
		remove: func(host, file string) string { return call("DEL", host, file) },
	}.job
}

// netavark runs podman's network program. It always masquerades with iptables: Debian's
// version supports nothing else.
func netavark(w workload, dir folder) job {
	call := func(command, host, file string) string {
		return fmt.Sprintf("NETAVARK_FW=iptables %s --config /run/netavark %s /run/netns/%s <%s >/dev/null",
			netavarkPath, command, host, file)
	}
	return plugin{
		configure: func(n network, c vethPair) any {
			sw := c[0].Bridge
			return object{
				"container_id": fmt.Sprintf("%064x", c[1].Addr.Addr().As4()), "container_name": c[1].Host,
				"networks": object{sw: object{"static_ips": []any{c[1].Addr.Addr()}, "interface_name": "eth0"}},
				"network_info": object{sw: object{
					"name": sw, "id": fmt.Sprintf("%064x", sw), "driver": "bridge", "network_interface": sw,
					"subnets":      []object{{"subnet": c[1].Addr.Masked(), "gateway": n.peerAddr(c[0])}},
					"ipv6_enabled": false, "internal": false, "dns_enabled": false,
					"ipam_options": object{"driver": "host-local"}, "options": object{},
				}},
			}
		},
		add:    func(host, file string) string { return call("setup", host, file) },
		remove: func(host, file string) string { return call("teardown", host, file) },
	}.job(w, dir)
}
