package rtnl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
)

// newRouteConn creates a namespace with a link v0 that has 10.0.0.1/24 and fd00::1/64. It
// uses ip(8) for that. It returns a socket inside, the index of v0, and a function that runs
// ip inside.
func newRouteConn(t *testing.T) (*Conn, uint32, func(args string) string) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip on this machine to compare with")
	}
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	ip := func(args string) string {
		var out []byte
		err := nsfs.Do(ns, func() (err error) {
			out, err = exec.Command("ip", strings.Fields(args)...).CombinedOutput()
			return err
		})
		if err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
		return string(out)
	}
	ip("link set lo up")
	ip("link add v0 index 7 type veth peer name v1")
	ip("addr add 10.0.0.1/24 dev v0")
	ip("addr add fd00::1/64 dev v0 nodad")
	ip("link set v0 up")
	ip("link set v1 up")
	c, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, 7, ip
}

// TestRouteAsIPPrints adds routes and compares the output of ip(8).
func TestRouteAsIPPrints(t *testing.T) {
	c, v0, ip := newRouteConn(t)
	mtu := Metrics{}
	mtu.Values[unix.RTAX_MTU], mtu.Values[unix.RTAX_LOCK] = 1400, 1<<unix.RTAX_MTU
	mtu.Values[unix.RTAX_ADVMSS] = 1300
	for _, tt := range []struct {
		route Route
		want  string
	}{
		{Route{Dst: pfx("0.0.0.0/0"), Gateway: ipa("10.0.0.2"), Protocol: 3}, "default via 10.0.0.2 dev v0"},
		{Route{Dst: pfx("10.1.0.0/16"), Link: v0, Scope: unix.RT_SCOPE_LINK, Protocol: 4, Metric: 7,
			PrefSrc: ipa("10.0.0.1")}, "10.1.0.0/16 dev v0 proto static scope link src 10.0.0.1 metric 7"},
		{Route{Dst: pfx("10.2.0.0/16"), Gateway: ipa("fe80::1"), Link: v0, Protocol: 3},
			"10.2.0.0/16 via inet6 fe80::1 dev v0"},
		{Route{Dst: pfx("10.3.0.0/16"), Type: unix.RTN_BLACKHOLE, Protocol: 3}, "blackhole 10.3.0.0/16"},
		{Route{Dst: pfx("10.4.0.0/16"), Gateway: ipa("192.0.2.1"), Link: v0, Flags: unix.RTNH_F_ONLINK, Metrics: mtu,
			Protocol: 3}, "10.4.0.0/16 via 192.0.2.1 dev v0 onlink mtu lock 1400 advmss 1300"},
		{Route{Dst: pfx("10.5.0.0/16"), Gateway: ipa("10.0.0.2"), Table: 100000, Protocol: 3},
			"10.5.0.0/16 via 10.0.0.2 dev v0 table 100000"},
		{Route{Dst: pfx("10.6.0.0/16"), Protocol: 3, Hops: []Hop{{Gateway: ipa("10.0.0.2"), Weight: 3}, {Link: v0}}},
			"10.6.0.0/16 nexthop via 10.0.0.2 dev v0 weight 3 nexthop dev v0 weight 1"},
		{Route{Dst: pfx("::/0"), Gateway: ipa("fd00::2"), Protocol: 3, Pref: 1},
			"default via fd00::2 dev v0 metric 1024 pref high"},
		{Route{Dst: pfx("fd01::/64"), Type: unix.RTN_UNREACHABLE, Metric: 9, Protocol: 3},
			"unreachable fd01::/64 dev lo metric 9 pref medium"},
		{Route{Dst: pfx("fd02::/64"), Protocol: 3, Hops: []Hop{
			{Gateway: ipa("fd00::2")}, {Gateway: ipa("fd00::3"), Weight: 2},
		}},
			"fd02::/64 metric 1024 pref medium nexthop via fd00::2 dev v0 weight 1 nexthop via fd00::3 dev v0 weight 2"},
	} {
		if err := c.Do(AddRoute(tt.route)); err != nil {
			t.Error(err)
			continue
		}
		family := "-4"
		if tt.route.Is6() {
			family = "-6"
		}
		got := strings.Join(strings.Fields(ip(family+" route show table all exact "+tt.route.Dst.String())), " ")
		if got != tt.want {
			t.Errorf("ip prints\n\t%s\nwant\n\t%s", got, tt.want)
		}
		if err := c.Do(AddRoute(tt.route)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v twice: %v, want fs.ErrExist", tt.route, err)
		}
	}
	sameRoutesTwice(t, c, ip)
}

// sameRoutesTwice is a round trip through the kernel: it reads all routes, deletes them,
// which empties the table, and adds them again as read.
func sameRoutesTwice(t *testing.T, c *Conn, ip func(string) string) {
	t.Helper()
	read := func() []Route {
		t.Helper()
		routes, err := c.Routes(RouteFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return routes
	}
	print := func() string { return ip("-4 route") + ip("-6 route") }
	before, printed := read(), print()
	var del, add []Request
	direct := 0 // routes without gateway come first: the gateways must be reachable
	for _, r := range before {
		del, add = append(del, DeleteRoute(r)), append(add, AppendRoute(r))
		if !r.Gateway.IsValid() && len(r.Hops) == 0 {
			add = slices.Insert(add[:len(add)-1], direct, AppendRoute(r))
			direct++
		}
	}
	if err := c.Do(del...); err != nil {
		t.Fatal(err)
	}
	if left := read(); len(left) != 0 {
		t.Errorf("left after deleting all: %v", left)
	}
	if err := c.Do(add...); err != nil {
		t.Fatal(err)
	}
	key := func(r Route) string { return fmt.Sprint(r, r.Link) }
	after := map[string]Route{}
	for _, r := range read() {
		after[key(r)] = r
	}
	for _, r := range before {
		if diff := cmp.Diff(r, after[key(r)], cmpRoute, cmpAddr); diff != "" {
			t.Errorf("%v changed (-before +after):\n%s", r, diff)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d routes before, %d after\nbefore:\n%s\nafter:\n%s", len(before), len(after), printed, print())
	}
}

func TestRouteDelete(t *testing.T) {
	c, v0, ip := newRouteConn(t)
	dst := pfx("10.1.0.0/16")
	link := Route{Dst: dst, Link: v0, Scope: unix.RT_SCOPE_LINK, Protocol: 4}
	for _, tt := range []struct {
		by      Route
		deleted bool
	}{
		{Route{Dst: dst}, false}, // Scope is RT_SCOPE_UNIVERSE
		{Route{Dst: dst, Scope: unix.RT_SCOPE_NOWHERE}, true},
		{Route{Dst: dst, Scope: unix.RT_SCOPE_LINK}, true},
		{Route{Dst: dst, Scope: unix.RT_SCOPE_NOWHERE, Protocol: 3}, false},
		{Route{Dst: dst, Scope: unix.RT_SCOPE_NOWHERE, Type: unix.RTN_BLACKHOLE}, false},
		{Route{Dst: dst, Scope: unix.RT_SCOPE_NOWHERE, Link: 1}, false},
		{Route{Dst: dst, Scope: unix.RT_SCOPE_NOWHERE, Table: 99}, false},
		{link, true},
	} {
		if err := c.Do(ReplaceRoute(link)); err != nil {
			t.Fatal(err)
		}
		err := c.Do(DeleteRoute(tt.by))
		if tt.deleted && err != nil || !tt.deleted && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("delete by %+v: %v", tt.by, err)
		}
		if deleted := ip("route show "+dst.String()) == ""; deleted != tt.deleted {
			t.Errorf("deleted by %+v: %v, want %v", tt.by, deleted, tt.deleted)
		}
	}
}

func TestRouteChangeAndReplace(t *testing.T) {
	c, _, ip := newRouteConn(t)
	via := func(gateway string) Route {
		return Route{Dst: pfx("10.1.0.0/16"), Gateway: ipa(gateway), Protocol: 3}
	}
	if err := c.Do(ChangeRoute(via("10.0.0.2"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("change of a missing route: %v, want fs.ErrNotExist", err)
	}
	err := c.Do(
		ReplaceRoute(via("10.0.0.2")), ChangeRoute(via("10.0.0.3")), ReplaceRoute(via("10.0.0.4")),
		AppendRoute(via("10.0.0.5")), PrependRoute(via("10.0.0.6")),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := "10.1.0.0/16 via 10.0.0.6 dev v0 \n10.1.0.0/16 via 10.0.0.4 dev v0 \n10.1.0.0/16 via 10.0.0.5 dev v0 \n"
	if got := ip("route show 10.1.0.0/16"); got != want {
		t.Errorf("ip prints\n%swant\n%s", got, want)
	}
}

func TestRouteGet(t *testing.T) {
	c, v0, ip := newRouteConn(t)
	ip("route add 10.9.0.0/16 via 10.0.0.2 mtu 1300")
	ip("route add unreachable 10.8.0.0/16")
	ip("-6 route add fd09::/64 via fd00::2")
	for _, tt := range []struct {
		query RouteQuery
		want  Route
	}{
		{RouteQuery{Dst: ipa("10.9.1.1")}, Route{Dst: pfx("10.9.1.1/32"), Gateway: ipa("10.0.0.2"),
			PrefSrc: ipa("10.0.0.1")}},
		{RouteQuery{Dst: ipa("10.9.1.1"), FIBMatch: true}, Route{Dst: pfx("10.9.0.0/16"), Gateway: ipa("10.0.0.2")}},
		{RouteQuery{Dst: ipa("10.0.0.9")}, Route{Dst: pfx("10.0.0.9/32"), PrefSrc: ipa("10.0.0.1")}},
		{RouteQuery{Dst: ipa("fd09::7")}, Route{Dst: pfx("fd09::7/128"), Src: pfx("::/128"), Gateway: ipa("fd00::2"),
			PrefSrc: ipa("fd00::1")}},
		{RouteQuery{Dst: ipa("fd09::7"), FIBMatch: true}, Route{Dst: pfx("fd09::/64"), Gateway: ipa("fd00::2")}},
		{RouteQuery{Dst: ipa("10.9.1.1"), Src: ipa("10.0.0.1"), Link: v0},
			Route{Dst: pfx("10.9.1.1/32"), Src: pfx("10.0.0.1/32"), Gateway: ipa("10.0.0.2")}},
	} {
		r, err := c.RouteGet(tt.query)
		if err != nil {
			t.Error(err)
			continue
		}
		got := Route{Dst: r.Dst, Src: r.Src, Gateway: r.Gateway, PrefSrc: r.PrefSrc}
		if diff := cmp.Diff(tt.want, got, cmpRoute, cmpAddr); diff != "" || r.Link != v0 {
			t.Errorf("%+v (-want +got), link %d:\n%s", tt.query, r.Link, diff)
		}
	}
	for dst, want := range map[string]error{"10.8.0.1": unix.EHOSTUNREACH, "192.0.2.1": unix.ENETUNREACH,
		"fd77::1": unix.ENETUNREACH} {
		if _, err := c.RouteGet(RouteQuery{Dst: ipa(dst)}); !errors.Is(err, want) {
			t.Errorf("route to %s: %v, want %v", dst, err, want)
		}
	}
}

func TestRoutesFilter(t *testing.T) {
	c, v0, ip := newRouteConn(t)
	ip("route add 10.1.0.0/16 via 10.0.0.2 proto static")
	ip("route add 10.1.0.0/16 via 10.0.0.3 table 77")
	ip("route add blackhole 10.2.0.0/16 proto static")
	ip("-6 route add fd01::/64 via fd00::2 table 77 proto static")
	for _, tt := range []struct {
		name   string
		filter RouteFilter
		want   int
	}{
		{"static ones", RouteFilter{Protocol: 4}, 2},
		{"static ones of all tables", RouteFilter{Protocol: 4, AllTables: true}, 3},
		{"table 77", RouteFilter{Table: 77}, 2},
		{"table 77 of IPv6", RouteFilter{Table: 77, Family: unix.AF_INET6}, 1},
		{"blackholes", RouteFilter{Type: unix.RTN_BLACKHOLE}, 1},
		{"through v0, static", RouteFilter{Link: v0, Protocol: 4}, 1},
		{"cached", RouteFilter{Cached: true}, 0},
	} {
		routes, err := c.Routes(tt.filter)
		if err != nil || len(routes) != tt.want {
			t.Errorf("%s: %v %v, want %d", tt.name, routes, err, tt.want)
		}
	}
	if _, err := c.Routes(RouteFilter{Table: 1234}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("table that does not exist: %v, want fs.ErrNotExist", err)
	}
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	fresh, err := Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if routes, err := fresh.Routes(RouteFilter{}); len(routes) != 0 || err != nil {
		t.Errorf("a fresh namespace has routes %v, %v", routes, err)
	}
}

// TestRouteErrors: each error has the operation, the object, and the kernel's message.
func TestRouteErrors(t *testing.T) {
	c, v0, _ := newRouteConn(t)
	for _, tt := range []struct {
		request Request
		is      error
		want    string
	}{
		{AddRoute(Route{Dst: pfx("10.1.0.0/16"), Gateway: ipa("192.0.2.1")}), unix.ENETUNREACH,
			"add route 10.1.0.0/16 via 192.0.2.1: Nexthop has invalid gateway (network is unreachable)"},
		{AddRoute(Route{Dst: pfx("10.0.0.1/8"), Link: v0}), unix.EINVAL,
			"add route 10.0.0.1/8: Invalid prefix for given prefix length (invalid argument)"},
		{AddRoute(Route{Dst: pfx("10.1.0.0/16"), Link: 4711}), fs.ErrNotExist, "add route 10.1.0.0/16: no such device"},
		{AddRoute(Route{Dst: pfx("10.1.0.0/16"), NextHop: 99}), unix.EINVAL,
			"add route 10.1.0.0/16: Nexthop id does not exist (invalid argument)"},
		{DeleteRoute(Route{Dst: pfx("10.1.0.0/16"), Table: 9}), fs.ErrNotExist,
			"delete route 10.1.0.0/16 table 9: FIB table does not exist (no such process)"},
		{DeleteRoute(Route{Dst: pfx("fd01::/16")}), fs.ErrNotExist, "delete route fd01::/16: no such process"},
	} {
		err := c.Do(tt.request)
		if !errors.Is(err, tt.is) {
			t.Errorf("%v: %v is not %v", tt.request, err, tt.is)
		}
		// Older kernels have fewer messages.
		if err != nil && err.Error() != tt.want && os.Getenv("CI") == "" {
			t.Errorf("error\n\t%v\nwant\n\t%s", err, tt.want)
		}
	}
}
