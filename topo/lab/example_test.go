package lab_test

import (
	"fmt"
	"net/netip"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

// A lab file is parsed, compiled and compared with an empty state. None of these steps asks the
// kernel.
func Example() {
	topology, err := lab.Parse("lab.yaml", []byte(`
name: pair
hosts: {red: {}, blue: {}}
links:
  - {endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	want, err := lab.Compile(topology)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := topo.Diff(nil, want)
	fmt.Print(plan)
	fmt.Println(topo.Diff(want, want).Count())
	fmt.Println(plan.Reverse()[len(plan)-1])
	// Output:
	// + netns blue
	// + netns red
	// + blue: link eth0 address 5e:45:b9:e2:93:00 type veth peer red: link eth0 address 92:4a:30:38:2a:db
	// + blue: link eth0 addrgenmode none
	// + red: link eth0 addrgenmode none
	// + blue: link eth0 up
	// + blue: link lo up
	// + red: link eth0 up
	// + red: link lo up
	// + blue: addr 10.0.0.2/30 dev eth0
	// + red: addr 10.0.0.1/30 dev eth0
	// + blue: file /etc/hosts (4 lines)
	// + red: file /etc/hosts (4 lines)
	// 0 0 0
	// - netns blue
}

// Parse reports all mistakes of a file at once, each with its position and a correction.
func ExampleMistakes() {
	_, err := lab.Parse("lab.yaml", []byte(`
networks:
  office: {subnets: 10.0.0.0}
hosts:
  red: {networks: [ofice]}
`))
	fmt.Println(err)
	// Output:
	// lab.yaml:3:21: "10.0.0.0" has no prefix length; write 10.0.0.0/24, for example
	// lab.yaml:5:20: unknown network "ofice" for red; did you mean "office"?
}

// Export describes a network that was made by hand, and Format writes it as a lab file. The second result of
// Export lists what `vnet up` with this file would make different: here, the MAC addresses, and the links are up.
func ExampleExport() {
	pair := topo.Veth{Ends: [2]topo.Link{{NS: "blue", Name: "eth0"}, {NS: "red", Name: "eth0"}}}
	topology, rest := lab.Export("pair", topo.NewState(
		topo.Namespace{Name: "red"}, topo.Namespace{Name: "blue"}, pair,
		topo.Address{NS: "red", Link: "eth0", Prefix: netip.MustParsePrefix("10.0.0.1/30")},
		topo.Address{NS: "blue", Link: "eth0", Prefix: netip.MustParsePrefix("10.0.0.2/30")},
	))
	fmt.Print(string(lab.Format(topology)))
	for _, line := range rest {
		fmt.Println(line)
	}
	// Output:
	// name: pair
	// hosts:
	//   blue: {}
	//   red: {}
	// links:
	//   - {endpoints: ['blue:eth0', 'red:eth0'], addresses: [[10.0.0.2/30], [10.0.0.1/30]]}
	// - blue: link eth0 type veth peer red: link eth0
	// + blue: link eth0 address 5e:45:b9:e2:93:00 type veth peer red: link eth0 address 92:4a:30:38:2a:db
	// + blue: link eth0 up
	// + blue: link lo up
	// + red: link eth0 up
	// + red: link lo up
	// + blue: file /etc/hosts (4 lines)
	// + red: file /etc/hosts (4 lines)
}
