package main

import (
	"fmt"
	"log"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/vnet-lab/vnet/nsfs"
)

// webPort is the target port of all forwards.
const webPort = 80

// firstPort is the first forwarded port, morePort the first one that is added later.
const firstPort, morePort = 20000, 40000

// A forwardMethod is a way to forward ports of the machine to its host.
type forwardMethod struct {
	name  string
	needs string
	// forward is the command that forwards ports. file has the text that rules returns.
	forward func(vnet, file string) []string
	rules   func(ports []int) string
	// addOne is the command that forwards one more port. For a lab, file has this port.
	addOne func(vnet, file string, port int) []string
}

// Names of methods, for the targets.
const (
	upMethod          = "vnet up"
	natMethod         = "vnet nat add dnat"
	nftMethod         = "nft, a rule per port"
	legacyMethod      = "iptables-legacy"
	iptablesNftMethod = "iptables-nft"
)

func forwardMethods() []forwardMethod {
	return []forwardMethod{
		{upMethod, "", func(vnet, file string) []string { return []string{vnet, "up", file} }, labWith,
			func(vnet, file string, _ int) []string { return []string{vnet, "up", file} }},
		{natMethod, "", func(vnet, file string) []string { return []string{vnet, "-batch", file} },
			func(ports []int) string {
				return "nat add masquerade -s 10.0.0.0/16\n" + linePerPort(ports, "nat "+dnatArgs+"\n")
			},
			func(vnet, _ string, port int) []string {
				return append([]string{vnet, "nat"}, strings.Fields(fmt.Sprintf(dnatArgs, port))...)
			}},
		nft(nftMethod, ""),
		nft("nft, a rule per port, flowtable", "flowtable f { hook ingress priority 0; devices = { "+uplink+", sw0 }; }\n"+
			"chain forward { type filter hook forward priority 0; ip protocol tcp flow add @f; }\n"),
		iptables(iptablesNftMethod), iptables(legacyMethod),
	}
}

const dnatArgs = "add dnat -p tcp --dport %d --to-destination 10.0.0.2:80"

// labWith returns a lab that forwards these ports.
func labWith(ports []int) string {
	n := forwardNetwork()
	n.Hosts[0].Ports = ports
	return n.Lab()
}

// forwardNetwork returns the network for measurements of forwards.
func forwardNetwork() network {
	n := star(1, 1, 0)
	n.NAT = true
	return n
}

// linePerPort returns a line for each port.
func linePerPort(ports []int, line string) string {
	var b strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&b, line, p)
	}
	return b.String()
}

func nft(name, more string) forwardMethod {
	return forwardMethod{name, "nft", func(_, file string) []string { return []string{"nft", "-f", file} },
		func(ports []int) string {
			return "table ip nat {\n" + more +
				"chain post { type nat hook postrouting priority 100;\n" +
				"ip saddr 10.0.0.0/16 ip daddr != 10.0.0.0/16 masquerade; }\n" +
				"chain pre { type nat hook prerouting priority -100;\n" +
				linePerPort(ports, "tcp dport %d dnat to 10.0.0.2:80\n") + "}\n}\n"
		},
		func(_, _ string, port int) []string {
			return strings.Fields(fmt.Sprintf("nft add rule ip nat pre tcp dport %d dnat to 10.0.0.2:80", port))
		}}
}

func iptables(name string) forwardMethod {
	const rule = "-A PREROUTING -p tcp --dport %d -j DNAT --to-destination 10.0.0.2:80"
	return forwardMethod{name, name, func(_, file string) []string { return []string{name + "-restore", file} },
		func(ports []int) string {
			return "*nat\n-A POSTROUTING -s 10.0.0.0/16 ! -d 10.0.0.0/16 -j MASQUERADE\n" +
				linePerPort(ports, rule+"\n") + "COMMIT\n"
		},
		func(_, _ string, port int) []string {
			return strings.Fields(name + " -t nat " + fmt.Sprintf(rule, port))
		}}
}

// A forwardJob is one measurement of ports that the machine forwards from the outside to
// a host.
type forwardJob struct {
	Vnet  string // the program
	Ports int
	// Setup makes the network, Forward forwards the ports, each of AddOne adds one.
	Setup, Forward []string
	AddOne         [][]string
	// UsesLab is true if the commands bring a lab up.
	UsesLab bool
}

// prepare writes the files of a measurement.
func (w forwardMethod) prepare(vnet string, ports int, dir folder) job {
	all := make([]int, ports)
	for i := range all {
		all[i] = firstPort + i
	}
	n := forwardNetwork()
	f := &forwardJob{
		Vnet: vnet, Ports: ports, UsesLab: w.name == upMethod,
		Forward: w.forward(vnet, dir.write("rules", w.rules(all))),
	}
	if !f.UsesLab { // a lab makes the network itself
		f.Setup = sh(dir, "first", n.script()+"sysctl -qw net.ipv4.ip_forward=1\n")
	}
	for i := range 7 {
		all = append(all, morePort+i)
		var file string
		if f.UsesLab {
			file = dir.write(fmt.Sprintf("rules-%d", i), w.rules(all))
		}
		f.AddOne = append(f.AddOne, w.addOne(vnet, file, morePort+i))
	}
	return job{Forward: f}
}

// run forwards the ports, adds a few, connects many times through the last of the first
// ports, and sends data through one connection.
func (f forwardJob) run() (measurement, error) {
	w, err := newTestnet(forwardNetwork())
	if err != nil {
		return nil, err
	}
	defer w.Close()
	m := measurement{}
	for _, c := range [][]string{f.Setup, f.Forward} {
		if err := timeCommand(measurement{}, up, c); err != nil {
			return nil, err
		}
	}
	if err := w.check(nil); err != nil {
		return nil, err
	}
	if m[onePort], err = f.timeAddOne(); err != nil {
		return nil, err
	}
	ns, err := nsfs.Open(w.network.Hosts[0].Name)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	m[rate], m[flow], err = measureForward(w.outside, ns, firstPort+f.Ports-1)
	return m, err
}

// timeAddOne returns the median time to add one forward, in milliseconds.
func (f forwardJob) timeAddOne() (float64, error) {
	var took []float64
	for _, c := range f.AddOne {
		m := measurement{}
		if err := timeCommand(m, add, c); err != nil {
			return 0, err
		}
		took = append(took, m[add])
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// portCounts are the numbers of forwards that are measured.
var portCounts = []int{1, 10, 100, 10000}

// forwardsName returns the name of a measurement in the results.
func forwardsName(ports int) string { return fmt.Sprintf("forwards %d", ports) }

// runForwards measures all methods in turns.
func (b *bench) runForwards() {
	start := time.Now()
	for _, ports := range portCounts {
		for round := range b.rounds {
			for _, w := range b.forwardMethods() {
				if round > 0 && ports >= 10000 && w.name == natMethod {
					continue // slow: it adds them one by one
				}
				b.measure(forwardsName(ports), w.name, func(dir folder) job { return w.prepare(b.binDir+"/vnet", ports, dir) })
			}
		}
	}
	log.Printf("forwards took %v", time.Since(start))
}

// forwardMethods returns the methods that this machine supports.
func (b *bench) forwardMethods() []forwardMethod {
	return slices.DeleteFunc(forwardMethods(), func(w forwardMethod) bool {
		_, err := exec.LookPath(w.needs)
		return !b.filter.MatchString(w.name) || w.needs != "" && err != nil
	})
}
