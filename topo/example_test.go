package topo_test

import (
	"fmt"

	"github.com/vnet-lab/vnet/topo"
)

// A lab file is read, worked out and compared with what is there: here, nothing. None of
// it asks a kernel.
func Example() {
	lab, err := topo.Parse("lab.yaml", []byte(`
name: pair
hosts: {red: {}, blue: {}}
links:
  - {endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	want, err := topo.Compile(lab)
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

// All mistakes of a file come at once, each with its place and with what to write.
func ExampleMistakes() {
	_, err := topo.Parse("lab.yaml", []byte(`
networks:
  office: {subnets: 10.0.0.0/24}
hosts:
  red: {networks: [ofice]}
  a-name-that-is-too-long-for-a-host-of-any-kind-because-a-name-has-sixty-three-letters: {}
`))
	fmt.Println(err)
	// Output:
	// lab.yaml:5:20: unknown network "ofice" for red; did you mean "office"?
	// lab.yaml:6:3: host name "a-name-that-is-too-long-for-a-host-of-any-kind-because-a-name-has-sixty-three-letters" is 85 bytes long; shorten it to 63
}
