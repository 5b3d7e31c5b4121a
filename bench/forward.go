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

// webPort is where all forwarded ports lead to.
const webPort = 80

// firstPort is the first that is forwarded, morePort the first that is added
// later.
const firstPort, morePort = 20000, 40000

// A way is how the machine can be made to forward ports to its one host.
type way struct {
	name  string
	needs string
	// program reads file to forward ports; in it stands what rules says.
	program func(vnet, file string) []string
	rules   func(ports []int) string
	// more forwards one port more; where the way is a file, that one says so.
	more func(vnet, file string, port int) []string
}

// Names of ways that the aims speak of.
const (
	byLab    = "vnet up"
	byHand   = "vnet nat add dnat"
	ruleEach = "nft, a rule a port"
	oldTable = "iptables-legacy"
	newTable = "iptables-nft"
)

func ways() []way {
	return []way{
		{byLab, "", func(vnet, file string) []string { return []string{vnet, "up", file} }, labWith,
			func(vnet, file string, _ int) []string { return []string{vnet, "up", file} }},
		{byHand, "", func(vnet, file string) []string { return []string{vnet, "-batch", file} },
			func(ports []int) string {
				return "nat add masquerade -s 10.0.0.0/16\n" + each(ports, "nat "+dnatWords+"\n")
			},
			func(vnet, _ string, port int) []string {
				return append([]string{vnet, "nat"}, strings.Fields(fmt.Sprintf(dnatWords, port))...)
			}},
		nft(ruleEach, ""),
		nft("nft, a rule a port, flowtable", "flowtable f { hook ingress priority 0; devices = { "+door+", sw0 }; }\n"+
			"chain forward { type filter hook forward priority 0; ip protocol tcp flow add @f; }\n"),
		iptables(newTable), iptables(oldTable),
	}
}

const dnatWords = "add dnat -p tcp --dport %d --to-destination 10.0.0.2:80"

// labWith is a lab with these ports.
func labWith(ports []int) string {
	n := crossing()
	n.Hosts[0].Ports = ports
	return n.Lab()
}

// crossing is the network in which ports are forwarded.
func crossing() network {
	n := star(1, 1, 0)
	n.NAT = true
	return n
}

// each is a line for each port.
func each(ports []int, line string) string {
	var b strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&b, line, p)
	}
	return b.String()
}

func nft(name, more string) way {
	return way{name, "nft", func(_, file string) []string { return []string{"nft", "-f", file} },
		func(ports []int) string {
			return "table ip nat {\n" + more +
				"chain post { type nat hook postrouting priority 100; ip saddr 10.0.0.0/16 ip daddr != 10.0.0.0/16 masquerade; }\n" +
				"chain pre { type nat hook prerouting priority -100;\n" + each(ports, "tcp dport %d dnat to 10.0.0.2:80\n") + "}\n}\n"
		},
		func(_, _ string, port int) []string {
			return strings.Fields(fmt.Sprintf("nft add rule ip nat pre tcp dport %d dnat to 10.0.0.2:80", port))
		}}
}

func iptables(name string) way {
	const rule = "-A PREROUTING -p tcp --dport %d -j DNAT --to-destination 10.0.0.2:80"
	return way{name, name, func(_, file string) []string { return []string{name + "-restore", file} },
		func(ports []int) string {
			return "*nat\n-A POSTROUTING -s 10.0.0.0/16 ! -d 10.0.0.0/16 -j MASQUERADE\n" + each(ports, rule+"\n") + "COMMIT\n"
		},
		func(_, _ string, port int) []string {
			return strings.Fields(name + " -t nat " + fmt.Sprintf(rule, port))
		}}
}

// A forwarding is one measurement of forwarded ports: the machine's, from an
// outside to a host behind it.
type forwarding struct {
	Vnet  string // the program
	Ports int
	// First are commands that make the network; Program those that forward the
	// ports, More those that add one each.
	First, Program []string
	More           [][]string
	// ByFile says that More read a file.
	ByFile bool
}

// prepare writes what a way needs.
func (w way) prepare(vnet string, ports int, dir folder) job {
	all := make([]int, ports)
	for i := range all {
		all[i] = firstPort + i
	}
	n := crossing()
	f := &forwarding{Vnet: vnet, Ports: ports, ByFile: w.name == byLab, Program: w.program(vnet, dir.write("rules", w.rules(all)))}
	if !f.ByFile { // which makes the network itself
		f.First = sh(dir, "first", n.script()+"sysctl -qw net.ipv4.ip_forward=1\n")
	}
	for i := range 7 {
		all = append(all, morePort+i)
		var file string
		if f.ByFile {
			file = dir.write(fmt.Sprintf("rules-%d", i), w.rules(all))
		}
		f.More = append(f.More, w.more(vnet, file, morePort+i))
	}
	return job{Forward: f}
}

// run forwards the ports, adds a few, connects through the last of those it began
// with again and again, and sends through one connection.
func (f forwarding) run() (measurement, error) {
	w, err := newWorld(crossing())
	if err != nil {
		return nil, err
	}
	defer w.Close()
	m := measurement{}
	for _, c := range [][]string{f.First, f.Program} {
		if err := timed(measurement{}, up, c); err != nil {
			return nil, err
		}
	}
	if err := w.check(nil); err != nil {
		return nil, err
	}
	if m[onePort], err = f.addMore(); err != nil {
		return nil, err
	}
	ns, err := nsfs.Open(w.network.Hosts[0].Name)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	m[rate], m[flow], err = through(w.outside, ns, firstPort+f.Ports-1)
	return m, err
}

// addMore is the median of what one port more costs.
func (f forwarding) addMore() (float64, error) {
	var took []float64
	for _, c := range f.More {
		m := measurement{}
		if err := timed(m, add, c); err != nil {
			return 0, err
		}
		took = append(took, m[add])
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// portCounts are the numbers of ports that are forwarded, in all.
var portCounts = []int{1, 10, 100, 10000}

// forwards is the name of such a measurement among the results.
func forwards(ports int) string { return fmt.Sprintf("forwards %d", ports) }

// runForwards lets the ways take turns.
func (b *bench) runForwards() {
	start := time.Now()
	for _, ports := range portCounts {
		for round := range b.rounds {
			for _, w := range b.ways() {
				if round > 0 && ports >= 10000 && w.name == byHand {
					continue // adds them one by one
				}
				b.take(forwards(ports), w.name, func(dir folder) job { return w.prepare(b.tools+"/vnet", ports, dir) })
			}
		}
	}
	log.Printf("forwarded ports took %v", time.Since(start))
}

// ways are those that this machine has.
func (b *bench) ways() []way {
	return slices.DeleteFunc(ways(), func(w way) bool {
		_, err := exec.LookPath(w.needs)
		return !b.only.MatchString(w.name) || w.needs != "" && err != nil
	})
}
