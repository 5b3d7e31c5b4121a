package nsfs_test

import (
	"fmt"
	"net"
	"os"

	"github.com/vnet-lab/vnet/nsfs"
)

// A namespace that exists as long as its file is open. The function runs inside it.
func ExampleDo() {
	ns, err := nsfs.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ns.Close()
	err = nsfs.Do(ns, func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			fmt.Println(l.Name, l.Flags)
		}
		return err
	})
	fmt.Println(err)
	// Output:
	// lo loopback
	// <nil>
}

// A namespace with a name. ip-netns(8) also lists it.
func ExampleAdd() {
	fmt.Println(nsfs.Add("red"))
	fmt.Println(nsfs.Names())
	_, err := os.Stat("/run/netns/red")
	fmt.Println(err)
	fmt.Println(nsfs.Remove("red"))
	fmt.Println(nsfs.Remove("red"))
	// Output:
	// <nil>
	// [red] <nil>
	// <nil>
	// <nil>
	// remove network namespace file /run/netns/red: no such file or directory
}

// A function runs in its own network namespace. This needs no root, and changes nothing
// on the machine. The tests of this package run like this.
func ExampleSandbox() {
	os.Exit(nsfs.Sandbox(func() int {
		fmt.Println("root over a network of my own:", os.Geteuid() == 0)
		return 0
	}))
}
