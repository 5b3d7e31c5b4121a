package nsfs_test

import (
	"fmt"
	"net"
	"os"

	"github.com/vnet-lab/vnet/nsfs"
)

// A namespace that lives as long as its file is open. What is done inside of Do happens
// there; a socket stays there, whoever uses it afterwards.
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

// A namespace with a name, which ip-netns(8) knows, too.
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

// A program as the first thing in a namespace of its own, without root and without harm:
// this is how the tests of this package are run.
func ExampleSandbox() {
	os.Exit(nsfs.Sandbox(func() int {
		fmt.Println("root over a network of my own:", os.Geteuid() == 0)
		return 0
	}))
}
