package rtnl_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// A veth pair between this namespace and a new one. The kernel creates the peer in the new
// namespace with its final name. Three requests there, in one system call, set it up and add
// an address and a default route.
func Example() {
	red, err := nsfs.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer red.Close()
	here, err := rtnl.Dial(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer here.Close()
	near := rtnl.LinkConfig{Name: "red0", Kind: rtnl.Kind{Name: "veth", Peer: &rtnl.LinkConfig{Name: "eth0", NS: red}}}
	near.SetUp(true)
	if err := here.Do(rtnl.AddLink(near)); err != nil {
		fmt.Println(err)
		return
	}
	there, err := rtnl.Dial(red)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer there.Close()
	eth0, err := there.Link(rtnl.LinkID{Name: "eth0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var up rtnl.LinkConfig
	up.SetUp(true)
	err = there.Do(
		rtnl.SetLink(rtnl.LinkID{Index: eth0.Index}, up),
		rtnl.AddAddr(rtnl.Addr{Link: eth0.Index, Prefix: netip.MustParsePrefix("10.0.0.2/24")}),
		rtnl.AddRoute(rtnl.Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1")}),
	)
	fmt.Println(err)
	routes, err := there.Routes(rtnl.RouteFilter{Family: unix.AF_INET})
	for _, r := range routes {
		fmt.Println(r.Dst, r.Gateway)
	}
	fmt.Println(err, here.Do(rtnl.DeleteLink(rtnl.LinkID{Name: "red0"})))
	// Output:
	// <nil>
	// 0.0.0.0/0 10.0.0.1
	// 10.0.0.0/24 invalid IP
	// <nil> <nil>
}

// An error has the operation, the object as ip(8) would write it, and the kernel's message.
// errors.Is works with the errors of package fs.
func ExampleError() {
	c, err := rtnl.Dial(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	err = c.Do(rtnl.DeleteLink(rtnl.LinkID{Name: "eth7"}))
	fmt.Println(err)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	var e *rtnl.Error
	fmt.Println(errors.As(err, &e), e.Op, e.Object)
	// Output:
	// delete link eth7: no such device
	// true
	// true delete link eth7
}
